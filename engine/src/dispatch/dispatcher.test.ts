import type { JsonText } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import { expect, test } from 'vitest';
import type { QueueName } from '../commands/ports.ts';
import { createRun, leaseRun } from '../kernel/run.ts';
import { createIds } from '../ports/ids.ts';
import { silentLogger } from '../ports/logger.ts';
import { VirtualClock } from '../ports/virtual-clock.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Claim, Store, Stored } from '../store/port.ts';
import { type RunRow, runs, steps } from '../store/tables.ts';
import { FailingStore } from '../test-support/failing-store.ts';
import { Dispatcher, type DispatcherOptions } from './index.ts';
import { LineChannel } from './line-channel.ts';

const input = '1' as JsonText;
const event: JobEvent = { id: 'evt_1', name: 'go', version: 1, data: { text: input }, timestamp: 0 };
const queueOf = (functionId: string): QueueName => ({ env: 'default', functionId, version: 1 });
const sessionId = 'worker-1';

function pending(id: string, { env, functionId, version }: QueueName): RunRow {
  return createRun(
    {
      id,
      env,
      functionId,
      functionVersion: version,
      maxAttempts: 1,
      eventId: event.id,
      eventName: event.name,
      input,
      parent: null,
    },
    0,
  );
}

/** A dispatcher with one session, of which the test says what the store would claim for it. */
function dispatcherFor(
  functionIds: readonly string[],
  jobsMax: number,
  claim: (functionId: string, limit: number) => Promise<RunRow[]> = async () => [],
  store: Store = new MemoryStore(),
  giveBack: () => Promise<void> = async () => {},
) {
  const clock = new VirtualClock();
  const returned: string[] = [];
  const assigned: string[] = [];
  const options: DispatcherOptions = {
    store,
    clock,
    ids: createIds(),
    logger: silentLogger,
    timeoutMs: async () => 1_000,
    secrets: () => undefined,
    sessionGuard: async () => ({}) as never,
    claim: async ({ prefix, limit, set }: Omit<Claim<RunRow>, 'revision'>) => {
      const rows = await claim(String(prefix?.[1]), limit);
      return rows.map((row): Stored<RunRow> => ({ row: { ...row, ...set }, revision: 1 }));
    },
    cannotUndo: async () => {},
    giveBack: async ({ id }) => {
      await giveBack();
      returned.push(id);
    },
  };
  const dispatcher = new Dispatcher(options);
  const channel = new LineChannel({
    sessionId,
    env: 'default',
    functions: new Map(functionIds.map((id) => [id, 1])),
    conversational: true,
    jobsMax,
    held: [],
    handlers: {
      assigned: ({ jobId }) => void assigned.push(jobId),
      resolved: () => {},
      revoked: () => {},
      replaced: () => {},
    },
    roomChanged: (changed) => dispatcher.roomChanged(changed),
    giveBack: ({ runId }) => void returned.push(runId),
  });
  return { clock, dispatcher, channel, returned, assigned };
}

test('room that was reserved on a session which is given up is there again when it comes back', async () => {
  const queue = queueOf('f');
  const { clock, dispatcher, channel, returned } = dispatcherFor(['f'], 1);
  dispatcher.attach(channel);
  await clock.settle();
  const reservation = dispatcher.reserve(queue, 'run_1');
  if (reservation === undefined) throw new Error('there is room');
  const lease = { sessionId, token: 'token' };
  dispatcher.leased(reservation, leaseRun(pending('run_1', queue), lease, 1_000, clock.now()), event);
  dispatcher.detach(channel.sessionId);
  await clock.settle();
  expect(returned).toEqual(['run_1']);
  dispatcher.attach(channel);
  expect(channel.room).toBe(1);
});

test('a run that is queued while a claim of another function has taken all the room gets what that one leaves', async () => {
  let answer = () => {};
  const asked: string[] = [];
  const { clock, dispatcher, channel } = dispatcherFor(['busy', 'other'], 2, async (functionId) => {
    asked.push(functionId);
    if (functionId === 'busy') await new Promise<void>((resolve) => (answer = resolve));
    return [];
  });
  dispatcher.attach(channel);
  await clock.settle();
  dispatcher.queued(queueOf('busy'));
  await clock.settle();
  expect(channel.room).toBe(0);
  dispatcher.queued(queueOf('other'));
  await clock.settle();
  expect(asked).toEqual(['busy']);
  answer(); // there was nothing after all
  await clock.settle();
  expect(asked).toEqual(['busy', 'other']);
});

test('a function with many queued runs does not keep the others from the room that its jobs leave', async () => {
  const served: string[] = [];
  const left = new Map([
    ['many', 100],
    ['few', 3],
  ]);
  const { clock, dispatcher, channel, assigned } = dispatcherFor(['many', 'few'], 1, async (functionId, limit) => {
    const queued = left.get(functionId) ?? 0;
    left.set(functionId, Math.max(0, queued - limit));
    const ids = Array.from({ length: Math.min(limit, queued) }, (_, i) => `${functionId}-${queued - i}`);
    served.push(...ids.map(() => functionId));
    return ids.map((id) => pending(id, queueOf(functionId)));
  });
  dispatcher.attach(channel);
  await clock.settle();
  for (const functionId of left.keys()) dispatcher.queued(queueOf(functionId));
  await clock.settle();
  while (served.length < 6) {
    const jobId = assigned.shift();
    if (jobId === undefined) throw new Error(`nothing was handed over after ${served}`);
    channel.ended(jobId);
    await clock.settle();
  }
  expect(served).toEqual(['many', 'few', 'many', 'few', 'many', 'few']);
});

test('runs that were queued before are found also when the store fails the first look for them', async () => {
  const queue = queueOf('f');
  const store = new FailingStore();
  await store.commit([
    {
      guards: [],
      puts: [{ table: runs, row: pending('run_1', queue), expected: null, revision: 1 }],
      deletes: [],
      appends: [],
    },
  ]);
  const { clock, dispatcher, channel, assigned } = dispatcherFor(
    ['f'],
    1,
    async (functionId) => [pending('run_1', queueOf(functionId))],
    store,
  );
  store.failScan(runs);
  dispatcher.attach(channel);
  await clock.settle();
  expect(assigned).toEqual([]);
  await clock.advance(1_000);
  expect(assigned).toHaveLength(1);
});

test('a lease that could not be handed over is handed back, also when that fails at first', async () => {
  const store = new FailingStore();
  let failures = 2;
  const giveBack = async () => {
    if (failures-- > 0) throw new Error('away');
  };
  const queue = queueOf('f');
  const { clock, dispatcher, channel, returned } = dispatcherFor(['f'], 1, undefined, store, giveBack);
  dispatcher.attach(channel);
  await clock.settle();
  const reservation = dispatcher.reserve(queue, 'run_1');
  if (reservation === undefined) throw new Error('there is room');
  store.failScan(steps);
  const replayed = {
    ...leaseRun(pending('run_1', queue), { sessionId, token: 'token' }, 1_000, clock.now()),
    fence: 2,
  };
  dispatcher.leased(reservation, replayed, undefined);
  await clock.advance(2_500);
  expect(returned).toEqual([]);
  await clock.advance(500);
  expect(returned).toEqual(['run_1']);
  expect(channel.room).toBe(1);
});
