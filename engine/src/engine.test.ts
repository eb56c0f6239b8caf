import { NonRetryableError } from '@ironflow/core';
import { capabilities, parseFunctionRegistration, type WorkerHello } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { createFunction } from '../../src/function/index.ts';
import { env, openTestEngine, type TestEngine } from './test-support/index.ts';

const HOUR = 3_600_000;

async function runOf(harness: TestEngine, runId: string | undefined) {
  return harness.engine.getRun(env, runId ?? '');
}

describe('a run', () => {
  test('executes its steps once each, in order, and completes with what the handler returns', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ event, step }) => {
      const a = await step.run('a', () => {
        calls.push('a');
        return event.data.n + 1;
      });
      const b = await step.run('b', () => {
        calls.push('b');
        return a * 2;
      });
      return { a, b };
    });
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go', { n: 1 });
    await harness.clock.settle();
    expect(calls).toEqual(['a', 'b']);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'completed', output: { a: 2, b: 4 }, attempt: 1 });
  });

  test('sleeps for as long as it says, to the millisecond, with no worker held', async () => {
    const harness = await openTestEngine();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
      await step.sleep('a-week', '7d');
      return step.run('after', () => harness.clock.now());
    });
    const worker = await harness.worker([fn]);
    const startedAt = harness.clock.now();
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    expect(worker.pool.size).toBe(0);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.clock.advance(7 * 24 * HOUR - 1);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.clock.advance(1);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'completed', output: startedAt + 7 * 24 * HOUR });
  });

  test('retries a failed step by its policy and leaves the other branches alone', async () => {
    const harness = await openTestEngine();
    const starts: number[] = [];
    const fn = createFunction(
      { id: 'f', triggers: [{ event: 'go' }], retry: { maxAttempts: 3, initialDelayMs: 1_000, backoffFactor: 2 } },
      async ({ step }) =>
        step.parallel('both', [
          async (s) =>
            s.run('flaky', ({ attempt }) => {
              starts.push(harness.clock.now());
              if (attempt < 3) throw new Error(`failure ${attempt}`);
              return attempt;
            }),
          async (s) => s.run('steady', () => 'ok'),
        ]),
    );
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(10_000);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'completed', output: [3, 'ok'], attempt: 1 });
    expect(starts.map((at) => at - (starts[0] ?? 0))).toEqual([0, 1_000, 3_000]);
    const steps = await harness.engine.getSteps(env, runIds[0] ?? '');
    expect(
      steps.find(({ name }) => name === 'flaky')?.attempts.map(({ number, outcome }) => [number, outcome]),
    ).toEqual([
      [1, 'failed'],
      [2, 'failed'],
      [3, 'completed'],
    ]);
  });

  test('throws the error of a step into the function once its attempts are used up, the same way on replay', async () => {
    const harness = await openTestEngine();
    const caught: unknown[] = [];
    const fn = createFunction(
      { id: 'f', triggers: [{ event: 'go' }], retry: { maxAttempts: 2, initialDelayMs: 10 } },
      async ({ step }) => {
        try {
          await step.run('charge', () => {
            throw new TypeError('card declined');
          });
        } catch (error) {
          const { name, message, code, retryable, stepName, cause } = error as Error & Record<string, unknown>;
          caught.push({ name, message, code, retryable, stepName, cause: `${cause}` });
        }
        await step.sleep('later', '1h');
        return 'caught';
      },
    );
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(2 * HOUR);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'completed', output: 'caught' });
    expect(caught).toHaveLength(2);
    expect(caught[0]).toEqual(caught[1]);
    expect(caught[0]).toEqual({
      name: 'StepError',
      message: 'card declined',
      code: 'STEP_FAILED',
      retryable: false,
      stepName: 'charge',
      cause: 'TypeError: card declined',
    });
  });

  test('fails at once when a step throws NonRetryableError', async () => {
    const harness = await openTestEngine();
    let calls = 0;
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
      await step.run('a', () => {
        calls++;
        throw new NonRetryableError('no use');
      });
    });
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(HOUR);
    expect(calls).toBe(1);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'failed', error: { message: 'no use' } });
  });

  test('retries a handler that throws, with all that it has recorded', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const fn = createFunction(
      { id: 'f', triggers: [{ event: 'go' }], retry: { maxAttempts: 3, initialDelayMs: 100 } },
      async ({ step, run }) => {
        await step.run('a', () => calls.push('a'));
        calls.push(`attempt ${run.attempt}`);
        if (run.attempt < 3) throw new Error('outside a step');
        return 'ok';
      },
    );
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(1_000);
    expect(calls).toEqual(['a', 'attempt 1', 'attempt 2', 'attempt 3']);
    expect(await runOf(harness, runIds[0])).toMatchObject({ status: 'completed', attempt: 3 });
  });
});

test('a polling worker hears of a wait that was met while the engine restarted, and keeps no slot of jobs that ended', async () => {
  const first = await openTestEngine();
  await first.engine.registerFunction(
    env,
    parseFunctionRegistration({ id: 'f', triggers: [{ event: 'go' }], preferredMode: 'EXECUTION_MODE_PULL' }),
  );
  const hello: WorkerHello = {
    workerId: 'poller',
    hostname: 'test',
    functionIds: ['f'],
    functionVersions: {},
    jobsMax: 1,
    labels: {},
    version: { sdk: 'test', runtime: 'test' },
    capabilities: [...capabilities],
  };
  await first.engine.workers.register(env, hello);
  const { signal } = new AbortController();
  const polled = first.engine.workers.poll('poller', { available: 1, draining: false }, signal);
  await first.emit('go');
  await first.emit('go');
  await first.clock.settle();
  const [job] = (await polled)?.jobs ?? [];
  if (job === undefined) throw new Error('no job came');
  const { jobId, fence, leaseToken, runId } = job;
  const lease = { jobId, fence, leaseToken };
  // A body runs on in the worker while another branch sleeps.
  const stepId = `${runId}:nap:0`;
  const until = first.clock.now() + 5;
  await first.engine.workers.report('poller', {
    ...lease,
    seenWakes: 0,
    records: [],
    waits: [{ stepId, name: 'nap', kind: 'sleep', until, wake: 0, sequence: 1 }],
  });
  await first.engine.close();

  const second = await openTestEngine({ store: first.store, clock: first.clock });
  await second.clock.advance(5);
  const news = second.engine.workers.poll('poller', { available: 0, draining: false }, signal);
  await second.clock.settle();
  expect(await news).toMatchObject({ jobs: [], resolutions: [{ jobId, resolution: { wake: 1, entry: { stepId } } }] });
  const next = second.engine.workers.poll('poller', { available: 0, draining: false }, signal);
  await second.engine.workers.report('poller', {
    ...lease,
    seenWakes: 1,
    records: [],
    waits: [],
    end: { status: 'completed', output: { text: '1' as never } },
  });
  await second.clock.settle();
  expect((await next)?.jobs).toHaveLength(1);
});

test('what a worker held that left as its engine stopped goes on at once with the next engine', async () => {
  const first = await openTestEngine();
  const started = Promise.withResolvers<void>();
  const fn = (body: () => Promise<unknown>) =>
    createFunction({ id: 'f', triggers: [{ event: 'go' }] }, ({ step }) => step.run('a', body));
  const hang = async () => {
    started.resolve();
    await new Promise(() => {});
  };
  const worker = await first.worker([fn(hang)]);
  const { runIds } = await first.emit('go');
  await started.promise;
  worker.crash();
  const left = worker.line.close();
  await first.engine.close();
  await left;

  const second = await openTestEngine({ store: first.store, clock: first.clock });
  await second.worker([fn(async () => 'done')], { id: 'another' });
  await second.clock.advance(1);
  expect(await runOf(second, runIds[0])).toMatchObject({ status: 'completed', output: 'done' });
});
