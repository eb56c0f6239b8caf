import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { MemoryStore } from '../store/memory/index.ts';
import { SqliteStore } from '../store/sqlite/index.ts';
import { runs } from '../store/tables.ts';
import { env, openTestEngine, type TestEngine, temporaryDirectory, VirtualClock } from '../test-support/index.ts';
import { ironflowResponse } from './reporter.ts';

const status = async ({ engine }: TestEngine, runId: string | undefined) => engine.getRun(env, runId ?? '');

describe('a worker that dies', () => {
  test('loses its runs to another when its session ends, and nothing recorded is done again', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const stuck = Promise.withResolvers<void>();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
      await step.run('a', () => void calls.push('a'));
      await step.run('b', async () => {
        calls.push('b');
        if (calls.filter((call) => call === 'b').length === 1) await stuck.promise;
      });
      return 'done';
    });
    const first = await harness.worker([fn], { id: 'first' });
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    first.crash();
    await first.line.close();
    await harness.worker([fn], { id: 'second' });
    await harness.clock.advance(1);
    expect(calls).toEqual(['a', 'b', 'b']);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed' });
    const attempts = await harness.engine.getRunAttempts(env, runIds[0] ?? '');
    expect(attempts).toMatchObject([{ outcome: 'unknown', worker: 'first' }]);
  });

  test('is refused when it reports after its lease went to another, and nothing of the report is stored', async () => {
    const harness = await openTestEngine();
    const gates = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    let starts = 0;
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
      step.run('slow', () => gates[starts++]?.promise),
    );
    const answers: string[] = [];
    const first = await harness.worker([fn], {
      id: 'first',
      between: async (report, send) => {
        const answer = await send(report);
        answers.push(answer.status === 'refused' ? answer.code : answer.status);
        return answer;
      },
    });
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    // The session ends, as that of a frozen worker does; the worker itself knows nothing of it.
    await first.line.close();
    await harness.worker([fn], { id: 'second' });
    await harness.clock.advance(1);
    expect(starts).toBe(2);
    gates[0]?.resolve('from the first');
    await harness.clock.settle();
    expect(answers).toEqual(['STALE_EXECUTION']);
    expect(await harness.engine.getSteps(env, runIds[0] ?? '')).toEqual([]);
    gates[1]?.resolve('from the second');
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 'from the second' });
  });
});

describe('an engine that is closed and opened again on the same data', () => {
  test('goes on where it was: sleeps, waits and queued runs included', async () => {
    const directory = temporaryDirectory();
    const clock = new VirtualClock();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
      const a = await step.run('a', () => 1);
      await step.sleep('nap', '1h');
      const answer = await step.waitForEvent('answer', { event: 'answer' });
      return [a, answer.data];
    });
    const open = async () => {
      const store = new SqliteStore({ directory: directory.path });
      const harness = await openTestEngine({ store, clock });
      return { ...harness, close: () => harness.engine.close().then(() => store.close()) };
    };

    let harness = await open();
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.close();

    harness = await open();
    await clock.advance(3_600_000);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'pending' }); // due, and no worker yet
    await harness.emit('answer', 42);
    await harness.close();

    harness = await open();
    await harness.worker([fn]);
    await clock.advance(1);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: [1, 42] });
    await harness.close();
    directory.remove();
  });

  test('takes up a run whose worker lived in the engine that was killed', async () => {
    const store = new MemoryStore();
    const clock = new VirtualClock();
    const never = Promise.withResolvers<void>();
    let starts = 0;
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
      step.run('a', async () => {
        if (++starts === 1) await never.promise;
        return starts;
      }),
    );
    // Its clock is never moved on: from here it does nothing more, as if it had been killed.
    const killed = await openTestEngine({ store });
    await killed.worker([fn], { id: 'inside' });
    const { runIds } = await killed.emit('go');
    await killed.clock.settle();
    const next = await openTestEngine({ store, clock });
    await next.worker([fn], { id: 'new' });
    await clock.advance(1);
    expect(await status(next, runIds[0])).toMatchObject({ status: 'completed', output: 2 });
  });
});

describe('cancel', () => {
  test('ends a waiting run, drops its waits, and leaves nothing due', async () => {
    const harness = await openTestEngine();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
      Promise.all([step.sleep('a', '1h'), step.waitForEvent('b', { event: 'answer' })]),
    );
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    expect(await harness.engine.operations.cancel(env, runIds[0] ?? '', { reason: 'changed my mind' })).toMatchObject({
      status: 'cancelled',
      error: { code: 'RUN_CANCELLED', message: 'The run was cancelled: changed my mind' },
    });
    expect(await harness.engine.getSteps(env, runIds[0] ?? '')).toEqual([]);
    await harness.clock.advance(7_200_000);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'cancelled' });
  });

  test('tells the worker of a running run, aborts its step, and starts no other', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
      await step.run('slow', ({ signal }) => {
        calls.push('slow');
        return new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            calls.push('aborted');
            resolve();
          });
        });
      });
      await step.run('next', () => void calls.push('next'));
    });
    const worker = await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    await harness.engine.operations.cancel(env, runIds[0] ?? '');
    await harness.clock.settle();
    expect(calls).toEqual(['slow', 'aborted']);
    expect(worker.pool.size).toBe(0);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'cancelled' });
  });

  test('of a run that has ended changes nothing', async () => {
    const harness = await openTestEngine();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async () => 'done');
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    expect(await harness.engine.operations.cancel(env, runIds[0] ?? '', { reason: 'late' })).toMatchObject({
      status: 'completed',
      output: 'done',
    });
  });
});

describe('the function timeout', () => {
  test('stops an execution that goes on without a pause, and tries again by the policy', async () => {
    const harness = await openTestEngine();
    let starts = 0;
    const fn = createFunction(
      { id: 'f', triggers: [{ event: 'go' }], timeout: 5_000, retry: { maxAttempts: 2, initialDelayMs: 1_000 } },
      async ({ step }) =>
        step.run('endless', () => {
          starts++;
          return new Promise<never>(() => {});
        }),
    );
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(4_999);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'running', attempt: 1 });
    await harness.clock.advance(60_000);
    expect(starts).toBe(2);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'failed', error: { code: 'FUNCTION_TIMEOUT' } });
  });

  test('does not count the time a run waits', async () => {
    const harness = await openTestEngine();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }], timeout: 5_000 }, async ({ step }) => {
      await step.sleep('long', '30d');
      return 'rested';
    });
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(31 * 86_400_000);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 'rested' });
  });
});

describe('dispatch', () => {
  test('never gives a worker more jobs than it has room for', async () => {
    const harness = await openTestEngine();
    let running = 0;
    let most = 0;
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
      step.run('a', async () => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => harness.clock.setTimer(10, resolve));
        running--;
      }),
    );
    await harness.worker([fn], { jobsMax: 3 });
    for (let i = 0; i < 20; i++) await harness.emit('go');
    await harness.clock.advance(1_000);
    expect(most).toBe(3);
    expect((await harness.engine.listRuns(env, { status: 'completed' })).totalCount).toBe(20);
  });

  test('gives queued runs to a worker that comes later, the oldest first', async () => {
    const harness = await openTestEngine();
    const seen: number[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ event, step }) =>
      step.run('a', () => void seen.push(event.data.n)),
    );
    const early = await harness.worker([fn], { id: 'early' });
    await early.line.close();
    for (let n = 0; n < 10; n++) {
      await harness.emit('go', { n });
      await harness.clock.advance(1);
    }
    expect(seen).toEqual([]);
    await harness.worker([fn], { id: 'late', jobsMax: 1 });
    await harness.clock.settle();
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('keeps a run on the version it started with while a worker has it, and moves it when none has', async () => {
    const harness = await openTestEngine();
    const version = (name: string, extra = 0) =>
      createFunction({ id: 'f', triggers: [{ event: 'go' }], description: `${extra}` }, async ({ step }) => {
        await step.sleep('nap', '1h');
        return step.run('who', () => name);
      });
    const old = await harness.worker([version('old')], { id: 'old' });
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    await harness.worker([version('new', 1)], { id: 'new' });
    const second = await harness.emit('go');
    await harness.clock.advance(1_000);
    await harness.clock.advance(3_600_000);
    expect(await status(harness, runIds[0])).toMatchObject({ functionVersion: 1, output: 'old' });
    expect(await status(harness, second.runIds[0])).toMatchObject({ functionVersion: 2, output: 'new' });

    await old.line.close();
    const third = await harness.emit('go');
    await harness.clock.advance(3_700_000);
    expect(await status(harness, third.runIds[0])).toMatchObject({ output: 'new' });
  });
});

describe('a lease that brought something', () => {
  test('does not count as one that asked for what it had, whatever its last word has in it', async () => {
    const harness = await openTestEngine();
    const fn = createFunction(
      { id: 'f', triggers: [{ event: 'go' }], retry: { maxAttempts: 20, initialDelayMs: 10, backoffFactor: 1 } },
      async ({ step }) =>
        step.run('flaky', ({ attempt }) => {
          if (attempt < 20) throw new Error('not yet');
          return attempt;
        }),
    );
    // As a push endpoint: a failed attempt goes ahead of its response, which has nothing more to say. By then the next is due.
    await harness.worker([fn], {
      warm: false,
      between: async (report, send) => {
        if (report.end?.status !== 'suspended' || report.records.length > 0) return send(report);
        await harness.clock.advance(20);
        const run = await harness.store.get(runs, [[report.jobId.split('.')[0] ?? '']]);
        return harness.engine.workers.reportAs(run[0]?.row.leaseSession ?? '', report, ironflowResponse);
      },
    });
    const { runIds } = await harness.emit('go');
    for (let i = 0; i < 10; i++) await harness.clock.advance(1_000);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 20 });
  });
});
