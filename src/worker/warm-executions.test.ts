// Suspended executions that a worker keeps, against a real engine on a clock that is moved by hand.

import { encodeJson } from '@ironflow/core';
import { expect, test } from 'vitest';
import { silentLogger } from '../../engine/src/ports/logger.ts';
import { MemoryStore } from '../../engine/src/store/memory/index.ts';
import type { Scan } from '../../engine/src/store/port.ts';
import type { Row } from '../../engine/src/store/table.ts';
import { env, openTestEngine, VirtualClock } from '../../engine/src/test-support/index.ts';
import { createFunction } from '../function/index.ts';
import { createJob } from '../job/index.ts';
import { WarmExecutions } from './warm-executions.ts';

/** A function that sleeps three times between steps; `entered` counts how often its code began. */
function sleeper() {
  const count = { entered: 0, bodies: 0 };
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
    count.entered++;
    let sum = 0;
    for (let i = 1; i <= 3; i++) {
      sum += await step.run('add', () => {
        count.bodies++;
        return i;
      });
      await step.sleep('pause', 1_000);
    }
    return sum;
  });
  return { fn, count };
}

test.each([
  [true, 1],
  [false, 4],
])('kept: %s — the code of a function that waits three times begins %i times, to the same end', async (warm, times) => {
  const { engine, clock, emit, worker } = await openTestEngine();
  const { fn, count } = sleeper();
  await worker([fn], { warm });
  const { runIds } = await emit('go');
  await clock.advance(10_000);
  expect(await engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed', output: 6 });
  expect(count).toEqual({ entered: times, bodies: 3 });
});

test('what has been let go of is replayed from its history', async () => {
  const { engine, clock, emit, worker } = await openTestEngine();
  const { fn, count } = sleeper();
  const { warm } = await worker([fn]);
  const { runIds } = await emit('go');
  await clock.advance(500);
  expect(warm?.size).toBe(1);
  warm?.releaseAll();
  await clock.advance(10_000);
  expect(await engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed', output: 6 });
  expect(count).toEqual({ entered: 2, bodies: 3 });
});

test('what another worker has gone on with meanwhile is replayed', async () => {
  const { engine, clock, emit, worker } = await openTestEngine();
  const { fn, count } = sleeper();
  const gate = Promise.withResolvers<void>();
  const block = createFunction({ id: 'block', triggers: [{ event: 'block' }] }, ({ step }) =>
    step.run('hold', () => gate.promise),
  );
  const first = await worker([fn, block], { id: 'first', jobsMax: 1 });
  const { runIds } = await emit('go');
  await clock.advance(500);
  expect(first.warm?.size).toBe(1);
  await emit('block'); // the first has no room as the wait is met
  const second = await worker([fn], { id: 'second', warm: false });
  await clock.advance(1_000);
  expect(count.entered).toBe(2);
  await second.line.close();
  gate.resolve();
  await clock.advance(20_000);
  expect(await engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed', output: 6 });
  expect(count).toEqual({ entered: 3, bodies: 3 });
});

test('code that moves while it is suspended is replayed: nothing of what it did then counts', async () => {
  const { engine, clock, emit, worker } = await openTestEngine();
  const io = Promise.withResolvers<string>();
  let entered = 0;
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
    entered++;
    const quick = await Promise.race([step.sleep('pause', 1_000).then(() => 'slept'), io.promise]);
    return step.run('use', () => quick);
  });
  await worker([fn]);
  const { runIds } = await emit('go');
  await clock.advance(100);
  io.resolve('by itself');
  await clock.advance(100);
  expect(await engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'waiting' });
  await clock.advance(2_000);
  expect(await engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed' });
  expect(entered).toBe(2);
});

test('a resume reads what has happened since, however long the run is', async () => {
  class CountedStore extends MemoryStore {
    rows = 0;
    override async scan<R extends Row>(scan: Scan<R>) {
      const found = await super.scan(scan);
      this.rows += found.length;
      return found;
    }
  }
  const store = new CountedStore();
  const { clock, emit, worker } = await openTestEngine({ store });
  const rows: number[] = [];
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
    for (let i = 0; i < 120; i++) {
      await step.sleep('pause', 1_000);
      await step.run('look', () => void rows.push(store.rows));
    }
  });
  await worker([fn]);
  await emit('go');
  await clock.advance(200_000);
  expect(rows).toHaveLength(120);
  const cost = (from: number) => (rows[from + 10] ?? 0) - (rows[from] ?? 0);
  expect(cost(100)).toBeLessThanOrEqual(cost(10) * 1.2);
});

// ── the bounds ──

/** A job that waits for ever, and holds this much. */
function open(clock: VirtualClock, length: number) {
  const fn = createFunction({ id: 'f', triggers: [] }, () => new Promise<never>(() => {}));
  const data = { text: encodeJson('x'.repeat(length - 2), 'data') };
  const job = createJob({
    ...{ fn, turns: clock, logger: silentLogger, journal: { report: () => new Promise<never>(() => {}) } },
    assignment: {
      ...{ jobId: 'run_1.1', runId: 'run_1', functionId: 'f', attempt: 1, fence: 1, leaseToken: '' },
      ...{ memo: [], attempts: [], waits: [], wakes: 0, sequence: 0 },
      event: { id: 'e', name: 'go', version: 1, data, timestamp: 0 },
    },
  });
  return { job, over: job.run() };
}

test('are in number, in bytes and in time; the first one suspended goes first', async () => {
  const clock = new VirtualClock();
  const dropped: string[] = [];
  const warm = new WarmExecutions(clock, { max: 2, bytesMax: 20_000, keepMs: 1_000 });
  const keep = async (name: string, length: number) => {
    const { job, over } = open(clock, length);
    void over.then(({ status }) => dropped.push(`${name} ${status}`));
    warm.keep(name, job);
    await clock.settle();
  };
  await keep('a', 10);
  await keep('b', 10);
  await keep('c', 10);
  expect(dropped).toEqual(['a dropped']);
  await keep('d', 14_000);
  expect(dropped).toEqual(['a dropped', 'b dropped', 'c dropped']);
  expect(warm.takes(20_000)).toBe(false);
  await clock.advance(1_000);
  expect(dropped).toEqual(['a dropped', 'b dropped', 'c dropped', 'd dropped']);
  expect(warm.size).toBe(0);
  expect(new WarmExecutions(clock, { max: 0 }).takes(1)).toBe(false);
});
