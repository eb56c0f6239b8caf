// Streams as the engine sees them, on a clock that is moved by hand.

import { type JobOffer, parseFunctionRegistration, streamCapabilities } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { env, openTestEngine, type TestEngine } from '../test-support/index.ts';

async function openStream({ engine, clock }: TestEngine, workerId: string, names: readonly string[], jobsMax = 5) {
  const jobs: JobOffer[] = [];
  const revoked: string[] = [];
  let replaced = false;
  const { version } = await engine.registerFunction(
    env,
    parseFunctionRegistration({ id: 'f', triggers: [{ event: 'go' }], preferredMode: 'EXECUTION_MODE_PULL' }),
  );
  const line = await engine.workers.connectStream(
    env,
    {
      ...{ workerId, hostname: 'test', functionIds: ['f'], functionVersions: { f: version }, jobsMax, labels: {} },
      ...{ version: { sdk: '', runtime: '' }, capabilities: [...names] },
    },
    {
      assigned: (offer) => void jobs.push(offer),
      resolved: () => {},
      revoked: (jobId) => void revoked.push(jobId),
      replaced: () => {
        replaced = true;
      },
    },
  );
  await clock.settle();
  return { line, jobs, revoked, isReplaced: () => replaced };
}

const start = async ({ emit, clock }: TestEngine) => {
  const { runIds } = await emit('go');
  await clock.settle();
  return runIds[0] ?? '';
};

describe('a job that its worker holds no more', () => {
  test('and said nothing of is executed again, and fails in the end, saying why', async () => {
    const harness = await openTestEngine();
    const { line, jobs } = await openStream(harness, 'published', []);
    const runId = await start(harness);
    for (let times = 1; times <= 6; times++) {
      expect(jobs).toHaveLength(times);
      await harness.clock.advance(11_000);
      await line.present([], undefined);
      await harness.clock.settle();
    }
    expect(jobs).toHaveLength(6);
    const run = await harness.engine.getRun(env, runId);
    expect(run).toMatchObject({ status: 'failed', error: { code: 'WORKER_LOST_JOB' } });
    const next = await start(harness);
    expect(jobs.at(-1)).toMatchObject({ runId: next });
  });

  test('goes to others only when the worker must have received it', async () => {
    const harness = await openTestEngine();
    const { line, jobs } = await openStream(harness, 'ours', streamCapabilities);
    await start(harness);
    await start(harness);
    expect(jobs).toHaveLength(2);
    await harness.clock.advance(21_000);
    await line.present([], 1); // the second is on its way
    await harness.clock.settle();
    expect(jobs.map(({ runId }) => runId)).toEqual([jobs[0]?.runId, jobs[1]?.runId, jobs[0]?.runId]);
  });
});

describe('a stream that ends', () => {
  test('leaves its worker a moment to come back with what it holds', async () => {
    const harness = await openTestEngine();
    const first = await openStream(harness, 'ours', streamCapabilities);
    await start(harness);
    first.line.ended();
    await harness.clock.advance(4_000);
    const second = await openStream(harness, 'ours', streamCapabilities);
    expect(await second.line.present([first.jobs[0]?.jobId ?? ''], 0)).toEqual([]);
    await harness.clock.advance(20_000);
    expect(second.jobs).toEqual([]);
    expect(second.revoked).toEqual([]);
  });

  test('has its jobs go to others when the worker does not come back', async () => {
    const harness = await openTestEngine();
    const first = await openStream(harness, 'ours', streamCapabilities);
    const other = await openStream(harness, 'other', streamCapabilities);
    const runs = [await start(harness), await start(harness)];
    expect([...first.jobs, ...other.jobs]).toHaveLength(2);
    first.line.ended();
    await start(harness); // what comes from now on goes to the other
    await harness.clock.advance(6_000);
    expect(new Set(other.jobs.map(({ runId }) => runId))).toContain(runs[0]);
    expect(other.jobs).toHaveLength(3);
  });

  test('is told so when its worker opens another', async () => {
    const harness = await openTestEngine();
    const first = await openStream(harness, 'ours', streamCapabilities);
    await openStream(harness, 'ours', streamCapabilities);
    expect(first.isReplaced()).toBe(true);
    first.line.ended(); // of a line that is not the worker's any more
    await harness.clock.advance(20_000);
    expect(await harness.engine.listWorkers(env)).toMatchObject([{ id: 'ours' }]);
  });
});

test('a worker that leaves hands back what it holds at once', async () => {
  const harness = await openTestEngine();
  const first = await openStream(harness, 'ours', streamCapabilities, 1);
  const runId = await start(harness);
  const other = await openStream(harness, 'other', streamCapabilities);
  await first.line.leave();
  await harness.clock.advance(1);
  expect(other.jobs).toMatchObject([{ runId, fence: 2 }]);
});

test('a draining worker gets no more jobs, and a returned one goes to others', async () => {
  const harness = await openTestEngine();
  const first = await openStream(harness, 'ours', streamCapabilities, 1);
  await start(harness);
  const other = await openStream(harness, 'other', streamCapabilities);
  first.line.drain();
  await first.line.returned(first.jobs[0]?.jobId ?? '');
  await harness.clock.settle();
  expect(other.jobs).toMatchObject([{ runId: first.jobs[0]?.runId, fence: 2 }]);
  expect(first.jobs).toHaveLength(1);
});
