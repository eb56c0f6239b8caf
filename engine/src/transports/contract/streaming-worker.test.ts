// A published streaming worker on our engine: the contract's section 6, and what it cannot say.

import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { LeaseState } from '@ironflow/core/proto';
import { describe, expect, test } from 'vitest';
import { eventually } from '../../test-support/eventually.ts';
import { ContractEngine } from './published-sdk.ts';
import { lease, PublishedStreamingWorker, type StreamingWorkerOptions } from './published-streaming.ts';

async function open(options: StreamingWorkerOptions = {}, engineOptions = {}) {
  const engine = await ContractEngine.open(engineOptions);
  const worker = await PublishedStreamingWorker.start(engine, { f: 'go' }, options);
  return { engine, worker };
}

const endOf = (worker: PublishedStreamingWorker) =>
  eventually(
    () => worker.ended,
    (ended) => ended !== undefined,
  ).then((ended) => ended?.error);

const executed = (runId: string, name: string, more: object = {}) => ({
  id: `${runId}:${name}:0`,
  name,
  type: 'invoke',
  status: 'completed',
  output: { did: name },
  durationMs: 2,
  ...more,
});

describe('a published streaming worker', () => {
  test('is registered, listed, and given a job with all that the contract says', async () => {
    const { engine, worker } = await open({ maxJobs: 3 });
    expect(await worker.hears('registered')).toMatchObject({ workerId: worker.id, heartbeatIntervalMs: 30_000 });
    const runId = await engine.start('go', { n: 1, list: [1, { a: null }] });
    const job = await worker.job();
    expect(job).toMatchObject({
      runId,
      functionId: 'f',
      attempt: 1,
      executionSeq: 1n,
      completedSteps: [],
      event: { name: 'go', version: 1, data: { n: 1, list: [1, { a: null }] } },
    });
    worker.completed(job, { total: 3 });
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: { total: 3 } });
  });

  test('never has more jobs than it takes, and gets the next as one ends', async () => {
    const { engine, worker } = await open({ maxJobs: 2 });
    const runs = await Promise.all([1, 2, 3, 4, 5].map(() => engine.start('go')));
    for (let done = 0; done < 5; done++) {
      const job = await worker.job(done + 1);
      expect(worker.jobs.length).toBeLessThanOrEqual(done + 2);
      worker.completed(job);
    }
    for (const runId of runs) await engine.until(runId, 'completed');
    expect(worker.jobs.map(({ runId }) => runId).sort()).toEqual([...runs].sort());
  });

  test('that drops a job without a word loses it to another', async () => {
    const { engine, worker: deaf } = await open({ deaf: true, maxJobs: 1 }, { acknowledgeMs: 100 });
    const runId = await engine.start('go');
    await deaf.hears('job');
    const other = new PublishedStreamingWorker(engine, ['f']);
    const job = await eventually(
      () => other.jobs[0],
      (found) => found !== undefined,
    );
    expect(job).toMatchObject({ runId });
    expect(job?.executionSeq).toBeGreaterThan(1n);
    if (job !== undefined) other.completed(job);
    await engine.until(runId, 'completed');
  });

  test('has its failure retried by the policy, over the memo of what is known', async () => {
    const { engine, worker } = await open();
    await engine.registerFunction({
      id: 'f',
      triggers: [{ event: 'go' }],
      preferredMode: 'EXECUTION_MODE_PULL',
      retry: { maxAttempts: 2, initialDelayMs: 1 },
    });
    const runId = await engine.start('go');
    const first = await worker.job();
    worker.say({
      case: 'stepCompleted',
      value: { ...lease(first), stepId: `${runId}:a:0`, output: { ref: 'x' }, durationMs: 1 },
    });
    expect(await worker.hears('stepAck')).toMatchObject({ stepId: `${runId}:a:0`, accepted: true, error: '' });
    worker.failed(first, 'later', true);
    const second = await worker.job(2);
    expect(second).toMatchObject({
      attempt: 2,
      completedSteps: [{ stepId: `${runId}:a:0`, name: 'a', output: { ref: 'x' } }],
    });
    worker.failed(second, 'no', true);
    expect(await engine.until(runId, 'failed')).toMatchObject({ error: { message: 'no', code: 'STEP_FAILED' } });
  });

  test('that fails for good leaves all its steps, compensations included', async () => {
    const { engine, worker } = await open();
    const runId = await engine.start('go');
    const job = await worker.job();
    worker.failed(job, 'no car', false, [
      executed(runId, 'book'),
      executed(runId, 'car', {
        status: 'failed',
        output: undefined,
        error: { message: 'no car', code: 'STEP_FAILED' },
      }),
      executed(runId, 'compensate:book', { type: 'compensate', compensationFor: 'book' }),
    ]);
    await engine.until(runId, 'failed');
    const steps = (await engine.steps(runId)).map(({ name, status, output }) => [name, status, output]);
    expect(steps.sort()).toEqual([
      ['book', 'STEP_STATUS_COMPLETED', { did: 'book' }],
      ['car', 'STEP_STATUS_FAILED', undefined],
      ['compensate:book', 'STEP_STATUS_COMPLETED', { did: 'compensate:book' }],
    ]);
  });

  test('whose last word cannot be stored has its run fail, saying why', async () => {
    const { engine, worker } = await open();
    const runId = await engine.start('go');
    worker.completed(await worker.job(), { large: 'x'.repeat(4 * 1024 * 1024) });
    expect(await engine.until(runId, 'failed')).toMatchObject({
      error: { code: 'PAYLOAD_TOO_LARGE', message: expect.stringContaining('output of the function') },
    });
  });

  test('that says what it waits for is resumed when it is met', async () => {
    const { engine, worker } = await open();
    const runId = await engine.start('go');
    const job = await worker.job();
    worker.say({
      case: 'stepYielded',
      value: {
        ...lease(job),
        stepId: `${runId}:wait:0`,
        yieldInfo: {
          case: 'waitEvent',
          value: { eventName: 'paid', timeout: timestampFromMs(Date.now() + 60_000) },
        },
      },
    });
    expect(await worker.hears('stepAck')).toMatchObject({ accepted: true });
    await engine.emit('paid', { amount: 3 });
    const again = await worker.job(2);
    expect(again.completedSteps).toMatchObject([{ stepId: `${runId}:wait:0`, output: { data: { amount: 3 } } }]);
    worker.completed(again);
    await engine.until(runId, 'completed');
  });

  test('is told of a cancelled run, and what it says of it afterwards does no harm', async () => {
    const { engine, worker } = await open();
    const runId = await engine.start('go');
    const job = await worker.job();
    await engine.cancel(runId, 'changed my mind');
    expect(await worker.hears('cancel')).toMatchObject({
      jobId: job.jobId,
      reason: expect.stringContaining('changed my mind'),
    });
    worker.completed(job, { too: 'late' });
    expect(await worker.hears('cancel', 2)).toMatchObject({ jobId: job.jobId });
    expect(await engine.run(runId)).toMatchObject({ status: 'cancelled' });
    const next = await engine.start('go');
    worker.completed(await worker.job(2), { on: 'the same stream' });
    await engine.until(next, 'completed');
  });

  test('that lists fences in its heartbeat is told of each whether it stands', async () => {
    const { engine, worker } = await open();
    const [held, gone] = [await engine.start('go'), await engine.start('go')];
    const jobs = [await worker.job(1), await worker.job(2)];
    await engine.cancel(gone);
    await worker.hears('cancel');
    worker.heartbeat(jobs, true);
    const { segments } = await worker.hears('leaseRefresh');
    const states = new Map(segments.map(({ runId, state }) => [runId, state]));
    expect(states.get(held)).toBe(LeaseState.REFRESHED);
    expect(states.get(gone)).toBe(LeaseState.STALE);
  });

  test('that comes back keeps its jobs, and its first stream is ended, not cleanly', async () => {
    const { engine, worker } = await open();
    const runId = await engine.start('go');
    const job = await worker.job();
    const again = new PublishedStreamingWorker(engine, ['f'], { id: worker.id });
    await again.hears('registered');
    expect(await endOf(worker)).toMatchObject({ code: Code.Unavailable });
    again.completed(job, { by: 'the second stream' });
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: { by: 'the second stream' } });
    expect(again.jobs).toEqual([]);
  });

  test('is not sent away cleanly when the engine ends: it would come back at once', async () => {
    const { engine, worker } = await open();
    await engine.close();
    expect(await endOf(worker)).toMatchObject({ code: Code.Unavailable });
  });
});

describe('a stream', () => {
  test.each([
    ['without a key', undefined],
    ['with a wrong key', 'wrong'],
  ])('%s is refused as Connect refuses', async (_what, apiKey) => {
    const engine = await ContractEngine.open({ apiKeys: ['secret'] });
    const worker = new PublishedStreamingWorker(engine, ['f'], { ...(apiKey !== undefined && { apiKey }) });
    const error = await endOf(worker);
    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toMatchObject({ code: Code.Unauthenticated });
  });

  test('whose worker announces too much is refused, saying what', async () => {
    const engine = await ContractEngine.open();
    const worker = new PublishedStreamingWorker(engine, ['x'.repeat(300)]);
    expect(await endOf(worker)).toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining('function'),
    });
  });

  test('over HTTP/1.1 is not possible, and said so', async () => {
    const engine = await ContractEngine.open();
    expect(await engine.call('POST', '/ironflow.v1.WorkerService/Connect', {})).toMatchObject({ status: 501 });
  });
});
