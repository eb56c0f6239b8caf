import { capabilities } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Store } from '../store/port.ts';
import { attempts, idempotencyKeys, runs, sessions, steps } from '../store/tables.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const DAY = 86_400_000;

/** A memory store that counts what it is asked. */
class CountedStore extends MemoryStore {
  calls = 0;
  override get: Store['get'] = (table, keys) => this.#count(() => super.get(table, keys));
  override scan: Store['scan'] = (scan) => this.#count(() => super.scan(scan));
  override commit: Store['commit'] = (writeSets) => this.#count(() => super.commit(writeSets));
  override claim: Store['claim'] = (claim) => this.#count(() => super.claim(claim));
  #count<T>(call: () => T): T {
    this.calls++;
    return call();
  }
}

const rest = createFunction(
  { id: 'rest', triggers: [{ event: 'go' }], retry: { initialDelayMs: 1 } },
  async ({ event, step }) => {
    await step.run('flaky', ({ attempt }) => {
      if (attempt < 2) throw new Error('once');
    });
    await step.sleep('rest', event.data.ms);
  },
);

describe('the loops', () => {
  test('ask the store nothing while nothing is due', async () => {
    const store = new CountedStore();
    const harness = await openTestEngine({ store });
    await harness.worker([rest]);
    await harness.emit('go', { ms: 300 * DAY });
    await harness.clock.advance(60_000); // until the matcher's cursor is stored too
    const before = store.calls;
    await harness.clock.advance(200 * DAY);
    // In-process workers of an engine that owns its store need no renewal before that.
    expect(store.calls - before).toBeLessThan(10);
  });

  test('remove the sessions of workers that have left or fallen silent, and say which it was', async () => {
    const store = new CountedStore();
    const said: string[] = [];
    const note = (message: string, fields?: Readonly<Record<string, unknown>>) =>
      void said.push(`${String(fields?.['workerId'])}: ${message}`);
    const logger = { debug: () => {}, info: () => {}, warn: note, error: note };
    const { engine, clock } = await openTestEngine({ store, logger });
    const register = (workerId: string) =>
      engine.workers.register(env, {
        ...{ workerId, hostname: 'test', functionIds: [], functionVersions: {}, jobsMax: 1, labels: {} },
        ...{ version: { sdk: '', runtime: '' }, capabilities: [...capabilities] },
      });
    for (let i = 0; i < 20; i++) {
      await register(`left-${i}`);
      await engine.workers.deregister(`left-${i}`);
    }
    await register('silent');
    await clock.advance(120_000);
    expect(await store.scan({ table: sessions, limit: 100 })).toEqual([]);
    expect(said).toEqual(['silent: worker is silent; its runs go to others']);
    expect(await engine.workers.heartbeat('silent', { held: [], poll: 1 })).toBeUndefined(); // 404: it is to register again
    const before = store.calls;
    await clock.advance(200 * DAY);
    expect(store.calls - before).toBeLessThan(10);
  });

  test('keep finished runs for ever when not told otherwise', async () => {
    const harness = await openTestEngine();
    await harness.worker([rest]);
    await harness.emit('go', { ms: 1 });
    await harness.clock.advance(300 * DAY);
    expect((await harness.engine.listRuns(env, {})).totalCount).toBe(1);
  });

  test('remove finished runs with their steps and attempts after their retention, and no others', async () => {
    const harness = await openTestEngine({ settings: { runRetentionMs: 7 * DAY } });
    await harness.worker([rest]);
    await harness.emit('go', { ms: 1_000 });
    const long = await harness.emit('go', { ms: 30 * DAY });
    await harness.clock.advance(6 * DAY);
    expect((await harness.engine.listRuns(env, {})).totalCount).toBe(2);
    await harness.clock.advance(2 * DAY);
    const { runs: left } = await harness.engine.listRuns(env, {});
    expect(left.map(({ id, status }) => [id, status])).toEqual([[long.runIds[0], 'waiting']]);
    await harness.clock.advance(40 * DAY);
    for (const table of [runs, steps, attempts]) {
      expect(await harness.store.scan({ table: table as typeof runs, limit: 10 })).toEqual([]);
    }
  });

  test('forget an idempotency key after its retention, so that it starts anew', async () => {
    const harness = await openTestEngine({ settings: { idempotencyRetentionMs: DAY } });
    await harness.worker([rest]);
    const emit = () => harness.emit('go', { ms: 1 }, { idempotencyKey: 'key' });
    const first = await emit();
    await harness.clock.advance(DAY - 1);
    expect(await emit()).toEqual(first);
    await harness.clock.advance(1);
    expect((await emit()).runIds).not.toEqual(first.runIds);
    await harness.clock.advance(2 * DAY);
    expect(await harness.store.scan({ table: idempotencyKeys, limit: 10 })).toEqual([]);
  });

  test('wake a thousand runs that sleep until the same instant, without delay', async () => {
    const harness = await openTestEngine();
    await harness.worker([rest], { jobsMax: 1_000 });
    for (let i = 0; i < 1_000; i++) await harness.emit('go', { ms: DAY });
    await harness.clock.advance(DAY + 1); // the step before the sleep takes a millisecond
    const { totalCount } = await harness.engine.listRuns(env, { status: 'completed', limit: 1 });
    const waiting = await harness.engine.listRuns(env, { status: 'waiting', limit: 1 });
    expect([totalCount, waiting.totalCount]).toEqual([1_000, 0]);
  });
});
