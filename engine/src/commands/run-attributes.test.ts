// What runs are about: found when they start, looked for by it, and gone with them.

import { afterAll, describe, expect, test } from 'vitest';
import { createFunction, type FunctionConfig, type IronflowFunction } from '../../../src/function/index.ts';
import { NonRetryableError } from '../../../src/index.ts';
import { examineAll } from '../doctor/index.ts';
import { moveStore } from '../move/index.ts';
import { type ListRunsOptions, listRuns } from '../queries/runs.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Scan, Store, Stored, WriteSet } from '../store/port.ts';
import { PostgresStore } from '../store/postgres/index.ts';
import { SqliteStore } from '../store/sqlite/index.ts';
import type { Row } from '../store/table.ts';
import { runAttributes, runs, secrets } from '../store/tables.ts';
import { env, openTestEngine, type TestEngine, temporaryDirectory } from '../test-support/index.ts';
import { startPostgres } from '../test-support/postgres.ts';

const attributes = { orderId: 'data.order.id', tier: 'data.tier' };

function define(
  config: Partial<FunctionConfig> = {},
  handler: Parameters<typeof createFunction>[1] = async () => 'done',
): IronflowFunction {
  return createFunction({ id: 'order', triggers: [{ event: 'go' }], attributes, ...config }, handler);
}

async function started({ emit, clock }: TestEngine, data: unknown, event = 'go'): Promise<string> {
  const { runIds } = await emit(event, data);
  await clock.settle();
  return runIds[0] ?? '';
}

const order = (id: unknown, tier?: unknown) => ({ order: { id }, tier });
const rowsOf = async ({ store }: TestEngine, runId?: string) =>
  (await store.scan({ table: runAttributes, ...(runId && { prefix: [runId] }), limit: 1_000 })).map(({ row }) => row);
const list = async ({ engine }: TestEngine, options: ListRunsOptions) => {
  const { runs: found, totalCount } = await engine.listRuns(env, options);
  expect(totalCount).toBe(found.length);
  return found.map(({ id }) => id);
};

class WatchedStore extends MemoryStore {
  readonly commits: WriteSet[] = [];
  readonly scans: { readonly table: string; readonly index: string | undefined; readonly rows: number }[] = [];

  override commit(writeSets: readonly WriteSet[]) {
    this.commits.push(...writeSets);
    return super.commit(writeSets);
  }

  override async scan<R extends Row>(asked: Scan<R>): Promise<Stored<R>[]> {
    const rows = await super.scan(asked);
    this.scans.push({ table: asked.table.name, index: asked.index, rows: rows.length });
    return rows;
  }
}

describe('a run', () => {
  test('has what its function declares and its event has, as text, and its view tells it', async () => {
    const harness = await openTestEngine();
    await harness.worker([define()]);
    const full = await started(harness, order(42, 'gold'));
    const half = await started(harness, order('42', { not: 'text' }));
    const none = await started(harness, {});
    expect(await rowsOf(harness, full)).toEqual([
      { runId: full, name: 'orderId', env, value: '42' },
      { runId: full, name: 'tier', env, value: 'gold' },
    ]);
    expect((await harness.engine.getRun(env, full)).attributes).toEqual({ orderId: '42', tier: 'gold' });
    expect((await harness.engine.getRun(env, half)).attributes).toEqual({ orderId: '42' });
    expect(await harness.engine.getRun(env, none)).not.toHaveProperty('attributes');
    expect(await list(harness, { attributes: { orderId: '42' } })).toEqual([half, full]);
    expect(await list(harness, { attributes: { orderId: '42', tier: 'gold' } })).toEqual([full]);
    expect(await list(harness, { attributes: {} })).toEqual([none, half, full]);
    expect((await harness.engine.listRuns(env, { attributes: { tier: 'gold' } })).runs[0]).toMatchObject({
      attributes: { orderId: '42', tier: 'gold' },
    });
  });

  test('that another run calls is about its own input', async () => {
    const harness = await openTestEngine();
    const child = define({ id: 'child', triggers: [], attributes: { ...attributes, source: 'source' } });
    await harness.worker([
      child,
      define({}, async ({ step }) => step.invoke('child', order('of the child', 'silver'))),
    ]);
    const parent = await started(harness, order('of the parent'));
    const [childId] = await list(harness, { attributes: { tier: 'silver' } });
    expect(await harness.engine.getRun(env, childId ?? '')).toMatchObject({
      parentRunId: parent,
      attributes: { orderId: 'of the child', tier: 'silver', source: 'invoke' },
    });
    expect(await list(harness, { attributes: { tier: 'silver' }, parentRunId: parent })).toEqual([childId]);
    expect(await list(harness, { attributes: { tier: 'silver' }, parentRunId: 'run_other' })).toEqual([]);
    const again = await harness.engine.operations.rerun(env, childId ?? '');
    expect(again.attributes).toEqual({ orderId: 'of the child', tier: 'silver', source: 'invoke' });
  });

  test('that is run again is about its event, or its own input; a restart changes nothing', async () => {
    const harness = await openTestEngine();
    let broken = true;
    const fn = define({ attributes: { ...attributes, kind: 'name', source: 'source' } }, async ({ step }) =>
      step.run('charge', () => {
        if (broken) throw new NonRetryableError('declined');
      }),
    );
    await harness.worker([fn]);
    const first = await started(harness, order(1, 'gold'));
    const { operations } = harness.engine;
    expect((await operations.rerun(env, first)).attributes).toEqual({ orderId: '1', tier: 'gold', kind: 'go' });
    const edited = await operations.rerun(env, first, { input: '{"order":{"id":2}}' as never });
    expect(edited.attributes).toEqual({ orderId: '2', kind: 'go' });
    expect((await operations.rerun(env, edited.id)).attributes).toEqual({ orderId: '2', kind: 'go' });
    await harness.clock.settle();
    broken = false;
    const retried = await operations.retry(env, first);
    expect(retried.attributes).toEqual({ orderId: '1', tier: 'gold', kind: 'go' });
    await harness.clock.settle();
    expect(await harness.engine.getRun(env, first)).toMatchObject({
      status: 'completed',
      attributes: { orderId: '1', tier: 'gold', kind: 'go' },
    });
  });

  test('keeps what its version declared, whatever later ones do', async () => {
    const harness = await openTestEngine();
    await harness.worker([define()]);
    const before = await started(harness, order(1, 'gold'));
    await harness.worker([define({ attributes: undefined })]);
    const after = await started(harness, order(1, 'gold'));
    expect(await list(harness, { attributes: { orderId: '1' } })).toEqual([before]);
    expect((await harness.engine.getRun(env, before)).attributes).toEqual({ orderId: '1', tier: 'gold' });
    expect(await harness.engine.getRun(env, after)).not.toHaveProperty('attributes');
  });

  test('has them in the commit that starts it, and loses them in the one that removes it', async () => {
    const store = new WatchedStore();
    const { commits } = store;
    const harness = await openTestEngine({ store, settings: { runRetentionMs: 60_000 } });
    await harness.worker([define()]);
    const runId = await started(harness, order(1, 'gold'));
    const inserts = (writeSet: WriteSet) =>
      writeSet.puts.some(({ table, row, expected }) => table === runs && row['id'] === runId && expected === null);
    const starting = commits.filter(inserts);
    expect(starting.map(({ puts }) => puts.filter(({ table }) => (table as unknown) === runAttributes).length)).toEqual(
      [2],
    );
    await harness.clock.advance(10 * 60_000);
    const ending = commits.filter(({ deletes }) => deletes.some(({ table }) => (table as unknown) === runAttributes));
    expect(ending.map(({ deletes }) => deletes.map(({ table }) => table.name))).toEqual([
      expect.arrayContaining(['run_attributes', 'run_attributes', 'runs']),
    ]);
    expect(await rowsOf(harness)).toEqual([]);
    expect(await examineAll({ store, clock: harness.clock })).toEqual([]);
  });

  test('tells no value of a secret that its function declares, now or before', async () => {
    const harness = await openTestEngine({ settings: { secretKeys: ['0'.repeat(64)] } });
    await harness.worker([define({ secrets: ['KEY'] }), define({ id: 'other', triggers: [{ event: 'go' }] })]);
    await harness.engine.setSecret(env, 'KEY', 'sk_live_0001');
    await harness.engine.setSecret(env, 'KEY', '1234567890');
    const { runIds } = await harness.emit('go', order('to sk_live_0001', 1234567890));
    await harness.clock.settle();
    const byFunction = await Promise.all(runIds.map((runId) => harness.engine.getRun(env, runId)));
    expect(Object.fromEntries(byFunction.map((run) => [run.functionId, run.attributes]))).toEqual({
      order: { orderId: 'to ***', tier: '***' },
      other: { orderId: 'to sk_live_0001', tier: '1234567890' },
    });
    expect(await harness.store.scan({ table: secrets, limit: 10 })).toHaveLength(2);
  });
});

test('a function that declares none costs no read, no write, and its event is not parsed', async () => {
  const store = new WatchedStore();
  const harness = await openTestEngine({ store, settings: { runRetentionMs: 60_000 } });
  await harness.worker([define({ attributes: undefined })]);
  await started(harness, {});
  const { reads } = harness.engine.stats;
  // Data that is not JSON would be noticed by whoever parses it; a worker of this function is not connected.
  await harness.engine.registerFunction(env, { ...declaresNone, triggers: [{ event: 'unread' }] });
  await harness.engine.emit({
    ...{ env, name: 'unread', data: '{"half' as never, version: 1, metadata: null },
    ...{ idempotencyKey: null, source: null, runId: null },
  });
  await harness.engine.getRun(env, await started(harness, {}));
  await harness.clock.advance(10 * 60_000);
  expect(store.scans.map(({ table }) => table)).not.toContain('run_attributes');
  expect(harness.engine.stats.reads).toBeLessThanOrEqual(reads + 2); // the registration's own
  expect(await rowsOf(harness)).toEqual([]);
});

const declaresNone = {
  id: 'unheard',
  name: 'unheard',
  triggers: [],
  retry: { maxAttempts: 1, initialDelayMs: 1, backoffFactor: 1, maxDelayMs: 1 },
  timeoutMs: 1_000,
  mode: 'pull' as const,
};

test('a bulk operation is about the runs that have an attribute', async () => {
  const harness = await openTestEngine();
  await harness.worker([define({}, async ({ step }) => step.sleep('nap', '9h'))]);
  for (let i = 0; i < 12; i++) await started(harness, order(i % 3, i % 2 === 0 ? 'gold' : 'silver'));
  const filter = { attributes: { orderId: '1', tier: 'gold' } };
  const { operations } = harness.engine;
  let answer = await operations.bulk(env, { action: 'cancel', filter });
  expect(answer).toMatchObject({ totalCount: 2 });
  let { done } = answer;
  while (answer.nextCursor !== undefined) {
    answer = await operations.bulk(env, { action: 'cancel', filter, cursor: answer.nextCursor });
    done += answer.done;
  }
  expect(done).toBe(2);
  const cancelled = await list(harness, { status: 'cancelled' });
  expect(cancelled).toEqual(await list(harness, filter));
  expect(cancelled).toHaveLength(2);
});

describe('a listing', () => {
  const cleanUps: (() => unknown)[] = [];
  afterAll(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });

  /** What an engine has made, and the same moved to each of the other stores. */
  async function everywhere({ store }: TestEngine): Promise<{ readonly name: string; readonly store: Store }[]> {
    const directory = temporaryDirectory();
    const server = await startPostgres();
    const others = [
      { name: 'sqlite', store: new SqliteStore({ directory: directory.path }) },
      { name: 'postgres', store: new PostgresStore({ url: server.url, schema: server.freshSchema() }) },
    ];
    for (const other of others) {
      await other.store.migrate();
      const moved = await moveStore(store, other.store);
      expect(moved.find(({ table }) => table === 'run_attributes')?.rows).toBeGreaterThan(0);
    }
    cleanUps.push(
      () => directory.remove(),
      () => server.stop(),
      ...others.map((other) => () => other.store.close()),
    );
    return [{ name: 'memory', store }, ...others];
  }

  test('goes along one attribute, and has of it what fits the rest: other attributes, function, status, time, page', async () => {
    const harness = await openTestEngine();
    const { clock, emit } = harness;
    await harness.worker([define(), define({ id: 'other' }, async ({ step }) => step.sleep('nap', '9h'))]);
    for (let i = 0; i < 30; i++) {
      await emit('go', order(i % 3, i % 2 === 0 ? 'gold' : 'silver'));
      if (i === 14) await clock.advance(60_000);
    }
    await clock.settle();
    const middle = clock.now() - 30_000;
    for (const { name, store } of await everywhere(harness)) {
      const page = (options: ListRunsOptions, at = env) => listRuns({ store, functions: nothingKnown }, at, options);
      const total = async (options: ListRunsOptions) => {
        const { runs: found, totalCount } = await page({ limit: 1_000, ...options });
        expect(found, name).toHaveLength(totalCount);
        return totalCount;
      };
      const orderId = { orderId: '1' };
      const gold = { ...orderId, tier: 'gold' };
      expect(await total({ attributes: orderId })).toBe(20);
      expect(await total({ attributes: gold })).toBe(10);
      expect(await total({ attributes: { ...orderId, tier: 'bronze' } })).toBe(0);
      expect(await total({ attributes: orderId, functionId: 'order' })).toBe(10);
      expect(await total({ attributes: orderId, status: 'waiting' })).toBe(10);
      expect(await total({ attributes: orderId, status: 'never' })).toBe(0);
      expect(await total({ attributes: orderId, eventName: 'go', status: 'completed' })).toBe(10);
      expect(await total({ attributes: orderId, eventName: 'gone' })).toBe(0);
      expect(await total({ attributes: orderId, since: middle })).toBe(10);
      expect(await total({ attributes: orderId, until: middle })).toBe(10);
      expect(await total({ attributes: gold, functionId: 'other', until: middle })).toBe(2);
      expect(await page({ attributes: orderId }, 'staging')).toEqual({ runs: [], totalCount: 0 });
      for (const filter of [{ attributes: orderId }, { attributes: { tier: 'gold' }, functionId: 'order' }]) {
        const whole = (await page({ ...filter, limit: 1_000 })).runs.map(({ id }) => id);
        expect(whole).toEqual(whole.toSorted().reverse());
        const paged: string[] = [];
        for (let cursor: string | undefined; ; ) {
          const { runs: found, totalCount, nextCursor } = await page({ ...filter, limit: 4, cursor });
          expect(totalCount).toBe(whole.length);
          expect(found.every(({ attributes: own }) => own !== undefined)).toBe(true);
          paged.push(...found.map(({ id }) => id));
          cursor = nextCursor;
          if (cursor === undefined) break;
        }
        expect(paged).toEqual(whole);
      }
    }
  });

  test('reads along the index of attributes and by keys alone, and no more than its page where nothing else is asked', async () => {
    const store = new WatchedStore();
    const { scans } = store;
    const harness = await openTestEngine({ store });
    await harness.worker([define()]);
    for (let i = 0; i < 450; i++) await harness.emit('go', order('same', `${i % 150}`));
    await harness.clock.settle();
    scans.length = 0;
    const views = { store, functions: nothingKnown };
    const byValue = () => scans.splice(0).flatMap(({ index, rows }) => (index === 'byValue' ? [rows] : []));
    const page = await listRuns(views, env, { attributes: { orderId: 'same' }, limit: 5 });
    expect(page).toMatchObject({ totalCount: 450, nextCursor: expect.any(String) });
    expect(scans.filter(({ table }) => table === 'runs')).toEqual([]);
    expect(byValue()).toEqual([6]);
    // With more to look at: pages, until the listing's own is full; the count goes on to the end.
    await listRuns(views, env, { attributes: { orderId: 'same' }, status: 'completed', limit: 5 });
    expect(byValue().sort()).toEqual([200, 200, 200, 50].sort());
    // The value that the fewest runs have comes first.
    const few = await listRuns(views, env, { attributes: { orderId: 'same', tier: '7' }, status: 'completed' });
    expect(few.runs).toHaveLength(3);
    expect(scans.filter(({ table }) => table === 'runs')).toEqual([]);
    expect(byValue()).toEqual([3, 3]);
  });
});

const nothingKnown = { known: () => undefined };
