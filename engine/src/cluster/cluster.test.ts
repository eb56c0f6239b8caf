// Several engines on one store: what one of them makes ready, another one's worker gets.

import { capabilities, parseFunctionRegistration } from '@ironflow/core/wire';
import { expect, onTestFinished, test } from 'vitest';
import { createFunction, registrationOf } from '../../../src/function/index.ts';
import { type Logger, silentLogger } from '../ports/logger.ts';
import { StoreUnavailableError } from '../store/errors.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Store } from '../store/port.ts';
import { engines, runs, sessions } from '../store/tables.ts';
import { env, openTestEngine, type TestEngine, VirtualClock } from '../test-support/index.ts';

/** A shared store of which notifications can be kept from arriving. */
class SharedStore extends MemoryStore {
  deaf = false;
  /** Whether the next look at sessions fails. */
  failSessions = false;
  constructor() {
    super({ exclusive: false });
  }
  override get: Store['get'] = (table, keys) => {
    if (!this.failSessions || table.name !== sessions.name) return super.get(table, keys);
    this.failSessions = false;
    return Promise.reject(new StoreUnavailableError('away for a moment'));
  };
  override watch(channel: string, listener: (payload: string) => void): () => void {
    return super.watch(channel, (payload) => {
      if (!this.deaf) listener(payload);
    });
  }
}

async function openCluster(count: number, logger: Logger = silentLogger) {
  const store = new SharedStore();
  const clock = new VirtualClock();
  const members: TestEngine[] = [];
  for (let i = 0; i < count; i++) members.push(await openTestEngine({ store, clock, logger }));
  await clock.settle();
  onTestFinished(async () => {
    const closing = members.map(({ engine }) => engine.close());
    await clock.advance(1);
    await Promise.all(closing);
  });
  const statusOf = async (runId: string | undefined) =>
    (await members[0]?.engine.getRun(env, runId ?? ''))?.status ?? 'unknown';
  return { store, clock, members, statusOf };
}

const member = (members: readonly TestEngine[], i: number) => {
  const found = members[i];
  if (found === undefined) throw new Error('no such engine');
  return found;
};

const waiter = createFunction({ id: 'waiter', triggers: [{ event: 'go' }] }, async ({ step }) => {
  await step.run('first', () => 1);
  const paid = await step
    .waitForEvent('paid', { event: 'paid', match: 'data.id', timeout: '1h' })
    .catch(() => undefined);
  await step.sleep('nap', '10m');
  return paid === undefined ? 'timed out' : 'paid';
});

const simple = createFunction({ id: 'simple', triggers: [{ event: 'go' }] }, async ({ step }) => {
  await step.sleep('nap', '1m');
  return step.run('after', () => 'done');
});

test('a worker of one engine gets, at once, what an event on another made ready', async () => {
  const { clock, members, statusOf } = await openCluster(2);
  await member(members, 0).worker([simple]);
  const { runIds } = await member(members, 1).emit('go');
  await clock.settle();
  expect(await statusOf(runIds[0])).toBe('waiting'); // it has run up to its sleep
  await clock.advance(60_000);
  expect(await statusOf(runIds[0])).toBe('completed');
});

test('a wait begun on one engine is met by an event on another', async () => {
  const { clock, members, statusOf } = await openCluster(3);
  await member(members, 0).worker([waiter]);
  const runs = await Promise.all(Array.from({ length: 9 }, (_, id) => member(members, id % 3).emit('go', { id })));
  await clock.settle();
  for (let id = 0; id < 9; id++) await member(members, (id + 1) % 3).emit('paid', { id });
  await clock.settle();
  await clock.advance(600_000);
  const results = await Promise.all(runs.map(({ runIds }) => member(members, 0).engine.getRun(env, runIds[0] ?? '')));
  expect(results.map(({ status, output }) => [status, output])).toEqual(
    Array.from({ length: 9 }, () => ['completed', 'paid']),
  );
  expect(await statusOf(runs[0]?.runIds[0])).toBe('completed');
});

test('what no news told of is found within a slow look', async () => {
  const { store, clock, members, statusOf } = await openCluster(2);
  await member(members, 0).worker([simple]);
  store.deaf = true;
  const { runIds } = await member(members, 1).emit('go');
  await clock.settle();
  expect(await statusOf(runIds[0])).toBe('pending');
  await clock.advance(5_000);
  expect(await statusOf(runIds[0])).toBe('waiting');
  // Whoever owns the timer, it fires at its time or, its owner not knowing of it, when that one looks.
  await clock.advance(65_000);
  expect(await statusOf(runIds[0])).toBe('completed');
});

test('a caller that waits on one engine learns of an end on another', async () => {
  const { clock, members } = await openCluster(2);
  await member(members, 0).worker([simple]);
  const { runIds } = await member(members, 1).emit('go');
  const result = member(members, 1).engine.result(env, runIds[0] ?? '', 3_600_000);
  await clock.advance(60_000);
  expect(await Promise.race([result, clock.settle().then(() => undefined)])).toMatchObject({ output: 'done' });
});

test('engines that close leave nothing to follow up', async () => {
  const { store, clock, members } = await openCluster(2);
  const closing = member(members, 1).engine.close();
  await clock.settle();
  await closing;
  expect((await store.scan({ table: engines, limit: 10 })).map(({ row }) => row.id)).toEqual([
    member(members, 0).engine.id,
  ]);
});

test('a worker that another engine found dead does not keep runs of its version waiting for it', async () => {
  const { clock, members } = await openCluster(2);
  const { engine, emit } = member(members, 0);
  const register = async (codeHash: string) => {
    const registration = parseFunctionRegistration(registrationOf(simple, { mode: 'pull', codeHash }));
    return (await engine.registerFunction(env, registration)).version;
  };
  const connect = (workerId: string, version: number) =>
    engine.workers.register(env, {
      workerId,
      hostname: 'test',
      functionIds: [simple.id],
      functionVersions: { [simple.id]: version },
      jobsMax: 1,
      labels: {},
      version: { sdk: '', runtime: '' },
      capabilities: [...capabilities],
    });
  const oldVersion = await register('old');
  const { runIds } = await emit('go');
  // Some of them are the other engine's to find dead.
  for (let i = 0; i < 8; i++) await connect(`old-${i}`, oldVersion);
  const newVersion = await register('new');
  await clock.advance(45_000);
  await connect('new', newVersion);
  const poll = engine.workers.poll('new', { available: 1, draining: false, number: 1 }, new AbortController().signal);
  await clock.advance(21_000);
  expect((await poll)?.jobs.map(({ runId }) => runId)).toEqual(runIds);
});

test('a worker that has left is not taken for silent, whichever engine ends its session', async () => {
  const said: string[] = [];
  const { store, clock, members } = await openCluster(3, {
    ...silentLogger,
    warn: (message) => void said.push(message),
  });
  const { engine } = member(members, 0);
  for (let i = 0; i < 12; i++) {
    const workerId = `leaver-${i}`;
    await engine.workers.register(env, {
      ...{ workerId, hostname: 'test', functionIds: [], functionVersions: {}, jobsMax: 1, labels: {} },
      ...{ version: { sdk: '', runtime: '' }, capabilities: [...capabilities] },
    });
    await engine.workers.deregister(workerId);
    await clock.advance(100);
  }
  await clock.advance(10_000);
  expect(await store.scan({ table: sessions, limit: 100 })).toEqual([]);
  expect(said).toEqual([]);
});

test('a worker whose connection broke and that is heard of at another engine keeps its leases', async () => {
  const { store, clock, members } = await openCluster(2);
  const { engine } = member(members, 0);
  await engine.workers.register(env, {
    workerId: 'mover',
    hostname: 'test',
    functionIds: [],
    functionVersions: {},
    jobsMax: 1,
    labels: {},
    version: { sdk: '', runtime: '' },
    capabilities: [...capabilities],
  });
  const broken = new AbortController();
  const poll = engine.workers.poll('mover', { available: 1, draining: false, number: 1 }, broken.signal);
  await clock.settle();
  store.deaf = true; // the first engine does not hear where its worker went
  broken.abort();
  await poll;
  await clock.advance(1_000);
  await member(members, 1).engine.workers.heartbeat('mover', { held: [], poll: 1 });
  await clock.advance(20_000);
  const [session] = await store.get(sessions, [['mover']]);
  expect(session?.row.expired).toBe(false);
});

test('a heartbeat that an engine answers after a later one ends no lease', async () => {
  const { store, clock, members } = await openCluster(2);
  const [frozen, other] = [member(members, 0), member(members, 1)];
  await frozen.engine.registerFunction(
    env,
    parseFunctionRegistration(registrationOf(simple, { mode: 'pull', codeHash: 'a' })),
  );
  await frozen.engine.workers.register(env, {
    workerId: 'mover',
    hostname: 'test',
    functionIds: ['simple'],
    functionVersions: { simple: 1 },
    jobsMax: 1,
    labels: {},
    version: { sdk: '', runtime: '' },
    capabilities: [...capabilities],
    beat: 0,
  });
  // Its first heartbeat is sent now, and is heard by an engine that was frozen at the end of this test.
  const late = { held: [], poll: 1, beat: 1 };
  const { runIds } = await other.emit('go');
  const runId = runIds[0] ?? '';
  const polled = other.engine.workers.poll(
    'mover',
    { available: 1, draining: false, number: 1 },
    new AbortController().signal,
  );
  await clock.settle();
  const jobIds = (await polled)?.jobs.map(({ jobId }) => jobId) ?? [];
  expect(jobIds).toHaveLength(1);
  for (let beat = 2; beat <= 4; beat++) {
    await clock.advance(10_000);
    expect(await other.engine.workers.heartbeat('mover', { held: jobIds, poll: 2, beat })).toEqual([]);
  }
  const leased = async () => (await store.get(runs, [[runId]]))[0]?.row;
  const before = await leased();
  expect(await frozen.engine.workers.heartbeat('mover', late)).toEqual([]);
  await clock.settle();
  expect(await leased()).toEqual(before);
  expect(before).toMatchObject({ status: 'running', leaseSession: 'mover' });
  // One that is the latest does, where the worker does not hold the job.
  expect(await other.engine.workers.heartbeat('mover', { held: [], poll: 3, beat: 5 })).toEqual([]);
  expect((await leased())?.fence).toBe(before?.fence);
  expect((await leased())?.status).not.toBe('running');
});

test('the last engine takes up what one that left had queued, though no news of it came', async () => {
  const { store, clock, members, statusOf } = await openCluster(2);
  await member(members, 0).worker([simple]);
  await clock.advance(1);
  store.deaf = true;
  const leaving = member(members, 1);
  const { runIds } = await leaving.emit('go');
  const closing = leaving.engine.close();
  await clock.advance(1);
  await closing;
  await clock.advance(15_000);
  expect(await statusOf(runIds[0])).toBe('waiting');
});

test('the last engine hears of an end that one that left has seen, also when the store fails its first look', async () => {
  const { store, clock, members } = await openCluster(2);
  const leaving = member(members, 1);
  const body = Promise.withResolvers<void>();
  const fn = createFunction({ id: 'f', triggers: [{ event: 'begin' }] }, ({ step }) =>
    step.run('a', () => body.promise),
  );
  await leaving.worker([fn]);
  await clock.advance(1);
  const { runIds } = await leaving.emit('begin');
  await clock.settle();
  let heard: string | undefined;
  void member(members, 0)
    .engine.result(env, runIds[0] ?? '', 600_000)
    .then(({ status }) => (heard = status));
  await clock.settle();
  store.deaf = true;
  body.resolve();
  await clock.settle();
  const closing = leaving.engine.close();
  await clock.advance(1);
  await closing;
  store.failSessions = true;
  await clock.advance(15_000);
  expect(store.failSessions).toBe(false);
  expect(heard).toBe('completed');
});
