// What operators do to runs, in every status of a run and beside a worker that is busy with it.

import { describe, expect, test } from 'vitest';
import { createFunction, type IronflowFunction } from '../../../src/function/index.ts';
import { NonRetryableError } from '../../../src/index.ts';
import type { StepClient } from '../../../src/step/index.ts';
import { examineAll } from '../doctor/index.ts';
import { runAudit, runs } from '../store/tables.ts';
import { env, openTestEngine, type TestEngine } from '../test-support/index.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const retry = { maxAttempts: 2, initialDelayMs: 1_000, backoffFactor: 1 } as const;

function define(
  handler: (step: StepClient, event: { readonly data: Record<string, never> }) => unknown,
  id = 'f',
): IronflowFunction {
  return createFunction({ id, triggers: [{ event: `start.${id}` }], retry }, ({ step, event }) =>
    handler(step, event as never),
  );
}

async function started(harness: TestEngine, fn: IronflowFunction, data: unknown = {}): Promise<string> {
  const { runIds } = await harness.emit(`start.${fn.id}`, data);
  await harness.clock.settle();
  return runIds[0] ?? '';
}

const view = ({ engine }: TestEngine, runId: string) => engine.getRun(env, runId);
const names = async ({ engine }: TestEngine, runId: string) =>
  (await engine.getSteps(env, runId)).map(({ name, status }) => `${name} ${status}`);

/** Nothing is stored that no command would have left there. */
async function expectSound({ store, clock }: TestEngine): Promise<void> {
  expect((await examineAll({ store, clock })).map(({ check, message }) => `${check}: ${message}`)).toEqual([]);
}

async function trail({ store }: TestEngine, runId: string) {
  const rows = await store.scan({ table: runAudit, prefix: [runId], limit: 100 });
  return rows.map(({ row }) => row);
}

describe('pause', () => {
  test('of a run that sleeps: its time passes, and it goes on when it is resumed', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const fn = define(async (step) => {
      await step.sleep('nap', '1h');
      await step.run('after', () => void calls.push('after'));
      return 'done';
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    expect(await harness.engine.operations.pause(env, runId, { reason: 'a look first', actor: 'ada' })).toMatchObject({
      status: 'paused',
    });
    await harness.clock.advance(3 * HOUR);
    expect(calls).toEqual([]);
    expect(await names(harness, runId)).toEqual(['nap completed']);
    await expectSound(harness);
    await harness.engine.operations.resume(env, runId);
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 'done' });
    expect(calls).toEqual(['after']);
  });

  test('loses no event: one that comes meanwhile meets the wait', async () => {
    const harness = await openTestEngine();
    const fn = define(async (step) => (await step.waitForEvent('for', { event: 'answer' })).data);
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    await harness.emit('answer', { n: 7 });
    await harness.clock.advance(2 * HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'paused' });
    await harness.engine.operations.resume(env, runId);
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: { n: 7 } });
  });

  test('of a run that is queued: no worker gets it before it is resumed', async () => {
    const harness = await openTestEngine();
    const fn = define(async (step) => step.run('one', () => 1));
    const first = await harness.worker([fn]);
    first.crash();
    await first.line.close();
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    await harness.worker([fn], { id: 'second' });
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'paused' });
    await expectSound(harness);
    await harness.engine.operations.resume(env, runId);
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 1 });
  });

  test('of a run that a worker executes: bodies that run end and are recorded, and none starts', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const fn = define(async (step) =>
      step.parallel('both', [
        async (s) => {
          await s.run('a', () => gates[0].promise.then(() => void calls.push('a')));
          await s.run('a2', () => void calls.push('a2'));
        },
        async (s) => {
          await s.run('b', () => gates[1].promise.then(() => void calls.push('b')));
          await s.sleep('nap', '1h');
        },
      ]),
    );
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    const asked = await harness.engine.operations.pause(env, runId, { reason: 'careful', actor: 'ada' });
    expect(asked).toMatchObject({ status: 'running', pauseRequested: true, pauseReason: 'careful' });
    gates[0].resolve();
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'running', pauseRequested: true });
    gates[1].resolve();
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'paused' });
    expect(calls).toEqual(['a', 'b']);
    expect(await harness.engine.getRunAttempts(env, runId)).toEqual([]);
    await expectSound(harness);
    await harness.engine.operations.resume(env, runId);
    await harness.clock.advance(2 * HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed' });
    expect(calls).toEqual(['a', 'b', 'a2']);
  });

  test('is taken back by a resume while the worker is still at it', async () => {
    const harness = await openTestEngine();
    const gate = Promise.withResolvers<void>();
    const fn = define(async (step) => {
      await step.run('one', () => gate.promise);
      return step.run('two', () => 2);
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    await harness.engine.operations.resume(env, runId);
    gate.resolve();
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 2 });
  });

  test('is over before its worker has come to rest: what that did not begin is begun, whatever else the run waits for', async () => {
    const harness = await openTestEngine();
    const body = Promise.withResolvers<void>();
    const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const fn = define((step) =>
      Promise.all([
        step.waitForEvent('answer', { event: 'answer', timeout: '1h' }),
        step.run('first', () => body.promise).then(() => step.run('second', () => 'done')),
      ]),
    );
    await harness.worker([fn], {
      between: async (report, send) => {
        if (report.end?.status === 'suspended') {
          held.resolve();
          await released.promise;
        }
        return send(report);
      },
    });
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId, {});
    body.resolve();
    await held.promise;
    await harness.engine.operations.resume(env, runId, {});
    released.resolve();
    await harness.clock.settle();
    expect(await names(harness, runId)).toContain('second completed');
    await expectSound(harness);
    await harness.emit('answer');
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed' });
  });

  test('of a run whose worker dies: it rests when its lease ends, and its late report is refused', async () => {
    const harness = await openTestEngine();
    const gate = Promise.withResolvers<string>();
    let starts = 0;
    const answers: string[] = [];
    const fn = define(async (step) => step.run('slow', () => (++starts === 1 ? gate.promise : 'again')));
    const first = await harness.worker([fn], {
      id: 'first',
      between: async (report, send) => {
        const answer = await send(report);
        answers.push(answer.status === 'refused' ? answer.code : answer.status);
        return answer;
      },
    });
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    await first.line.close(); // as that of a frozen worker; it knows nothing of it
    await harness.clock.advance(1);
    expect(await view(harness, runId)).toMatchObject({ status: 'paused' });
    gate.resolve('late');
    await harness.clock.settle();
    expect(answers).toEqual(['STALE_EXECUTION']);
    expect(await names(harness, runId)).toEqual([]);
    await expectSound(harness);
    await harness.worker([fn], { id: 'second' });
    await harness.engine.operations.resume(env, runId);
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 'again' });
  });

  test('of a run that waits for its next attempt keeps it waiting after the resume', async () => {
    const harness = await openTestEngine();
    let executions = 0;
    const fn = define(async () => {
      if (++executions === 1) throw new Error('once');
      return 'fine';
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    expect(await harness.engine.operations.resume(env, runId)).toMatchObject({ status: 'waiting' });
    expect(executions).toBe(1);
    await harness.clock.advance(1_000);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', attempt: 2 });
  });

  test('may be followed by a cancel', async () => {
    const harness = await openTestEngine();
    const fn = define(async (step) => step.sleep('nap', '1h'));
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    expect(await harness.engine.operations.cancel(env, runId, { reason: 'after all' })).toMatchObject({
      status: 'cancelled',
    });
    await harness.clock.advance(2 * HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'cancelled' });
    await expectSound(harness);
  });

  test('a second pause keeps the first reason, and one of a run that has ended is refused', async () => {
    const harness = await openTestEngine();
    const fn = define(async (step) => step.sleep('nap', '1h'));
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId, { reason: 'first' });
    expect(await harness.engine.operations.pause(env, runId, { reason: 'second' })).toMatchObject({
      pauseReason: 'first',
    });
    await harness.engine.operations.cancel(env, runId);
    await expect(harness.engine.operations.pause(env, runId)).rejects.toMatchObject({
      code: 'RUN_STATE',
      details: { status: 'cancelled' },
    });
  });
});

describe('retry', () => {
  test('goes on from the step that failed, with attempts of its own and all that was done before', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    let broken = true;
    const fn = define(async (step) => {
      await step.run('one', () => void calls.push('one'));
      const two = await step.run('two', ({ attempt }) => {
        calls.push(`two#${attempt}`);
        if (broken) throw new Error('broken');
        return 'mended';
      });
      return step.run('three', () => `${two}!`);
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
    await harness.engine.operations.retry(env, runId);
    await harness.clock.advance(MINUTE);
    // Still broken: it fails again, after as many attempts as the policy gives.
    expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
    expect(calls).toEqual(['one', 'two#1', 'two#2', 'two#3', 'two#4']);
    broken = false;
    await harness.engine.operations.retry(env, runId, { reason: 'mended', actor: 'ada' });
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 'mended!' });
    expect(calls.slice(5)).toEqual(['two#5']);
    const [, two] = await harness.engine.getSteps(env, runId);
    expect(two?.attempts.map(({ number, outcome }) => `${number} ${outcome}`)).toEqual([
      '1 failed',
      '2 failed',
      '3 failed',
      '4 failed',
      '5 completed',
    ]);
    expect((await trail(harness, runId)).at(-1)).toMatchObject({
      type: 'run.restarted',
      actor: 'ada',
      reason: 'mended',
      stepId: `${runId}:two:0`,
    });
    await expectSound(harness);
  });

  test('from a step runs it and what came after it again, and keeps what ran beside it', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    let fail = true;
    const fn = define(async (step) => {
      const call = (s: StepClient, name: string) => s.run(name, () => void calls.push(name));
      await call(step, 'one');
      await call(step, 'two');
      await step.sleep('nap', 10);
      await call(step, 'three');
      if (fail) throw new NonRetryableError('no');
      return 'done';
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.clock.advance(MINUTE);
    fail = false;
    calls.length = 0;
    await harness.engine.operations.retry(env, runId, { fromStep: 'two' });
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', attempt: 2 });
    expect(calls).toEqual(['two', 'three']);
    const attempts = (await harness.engine.getSteps(env, runId)).flatMap((step) =>
      step.attempts.map(({ number, outcome }) => `${step.name} ${number} ${outcome}`),
    );
    expect(attempts.filter((one) => !one.endsWith('completed'))).toEqual(['two 1 dropped', 'three 1 dropped']);
    await expectSound(harness);
  });

  test('keeps the result of a body that was running when the step failed', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    let broken = true;
    const slow = Promise.withResolvers<void>();
    const fn = define(async (step) =>
      step.parallel('both', [
        (s) =>
          s.run('bad', async () => {
            await new Promise<void>((resolve) => harness.clock.setTimer(10, resolve));
            if (broken) throw new NonRetryableError('broken');
            return 'good';
          }),
        (s) =>
          s.run('slow', async () => {
            await slow.promise;
            calls.push('slow');
            return 'slow';
          }),
      ]),
    );
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.clock.advance(20);
    slow.resolve();
    await harness.clock.settle();
    expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
    broken = false;
    await harness.engine.operations.retry(env, runId);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: ['good', 'slow'] });
    expect(calls).toEqual(['slow']);
  });

  test('gives a branch whose retry was waiting its next attempt, and its failure counts', async () => {
    const harness = await openTestEngine();
    const attempts: number[] = [];
    let broken = true;
    const fn = define(async (step) =>
      step.parallel('both', [
        (s) =>
          s.run('flaky', ({ attempt }) => {
            attempts.push(attempt);
            if (broken || attempt === 2) throw new Error('flaky');
            return attempt;
          }),
        (s) =>
          s.run('bad', () => {
            if (broken) throw new NonRetryableError('broken');
            return 'good';
          }),
      ]),
    );
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
    broken = false;
    await harness.engine.operations.retry(env, runId);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed' });
    expect(new Set(attempts).size).toBe(attempts.length);
    await expectSound(harness);
  });

  test('takes up a child that went on by itself, and does not call it again', async () => {
    const harness = await openTestEngine();
    let children = 0;
    let broken = true;
    const child = define(async (step) => {
      children++;
      await step.sleep('nap', '1h');
      return 'child';
    }, 'child');
    const fn = define(async (step) =>
      Promise.all([
        step.invoke('child', {}, { timeout: '10h' }),
        step.run('bad', () => {
          if (broken) throw new NonRetryableError('broken');
          return 'good';
        }),
      ]),
    );
    await harness.worker([fn, child]);
    const runId = await started(harness, fn);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
    broken = false;
    await harness.engine.operations.retry(env, runId);
    await harness.clock.advance(2 * HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: ['child', 'good'] });
    expect((await harness.engine.listRuns(env, { functionId: 'child' })).totalCount).toBe(1);
    expect(children).toBeGreaterThan(0);
    await expectSound(harness);
  });

  test('from a named step cancels a child that nobody waits for any more, and calls it again', async () => {
    const harness = await openTestEngine();
    let broken = true;
    const child = define(async (step) => step.sleep('nap', '1h'), 'child');
    const fn = define(async (step) => {
      await step.run('one', () => 1);
      return Promise.all([
        step.invoke('child', {}, { timeout: '10h' }),
        step.run('bad', () => {
          if (broken) throw new NonRetryableError('broken');
          return 'good';
        }),
      ]);
    });
    await harness.worker([fn, child]);
    const runId = await started(harness, fn);
    broken = false;
    await harness.engine.operations.retry(env, runId, { fromStep: 'one' });
    await harness.clock.advance(2 * HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed' });
    const children = await harness.engine.listRuns(env, { functionId: 'child' });
    expect(children.runs.map(({ status }) => status).sort()).toEqual(['cancelled', 'completed']);
    await expectSound(harness);
  });

  describe('of a parent whose child failed, and was restarted on its own', () => {
    const failedTwice = async () => {
      const harness = await openTestEngine();
      let broken = true;
      const child = define(async (step) => {
        const mode = await step.run('mode', () => (broken ? 'bad' : 'good'));
        if (broken) throw new NonRetryableError('child broken');
        await step.sleep('nap', '1h');
        return mode;
      }, 'child');
      const fn = define(async (step) => step.invoke('child', {}, { timeout: '10h' }));
      await harness.worker([fn, child]);
      const runId = await started(harness, fn);
      await harness.clock.advance(MINUTE);
      expect(await view(harness, runId)).toMatchObject({ status: 'failed', error: { code: 'INVOKE_FAILED' } });
      broken = false;
      const childId = (await harness.engine.listRuns(env, { functionId: 'child' })).runs[0]?.id ?? '';
      await harness.engine.operations.retry(env, childId);
      await harness.clock.advance(HOUR / 2);
      return { harness, runId, childId };
    };

    test('waits for that child', async () => {
      const { harness, runId, childId } = await failedTwice();
      await harness.engine.operations.retry(env, runId);
      await harness.clock.advance(0.75 * HOUR);
      expect(await view(harness, childId)).toMatchObject({ status: 'completed', output: 'bad' });
      expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 'bad' });
    });

    test('from the call makes the call again, and the first child does not answer for the second', async () => {
      const { harness, runId, childId } = await failedTwice();
      await harness.engine.operations.retry(env, runId, { fromStep: 'child' });
      await harness.clock.advance(0.75 * HOUR);
      expect(await view(harness, childId)).toMatchObject({ status: 'completed', output: 'bad' });
      expect(await view(harness, runId)).toMatchObject({ status: 'waiting' });
      await harness.clock.advance(HOUR);
      expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 'good' });
      await expectSound(harness);
    });
  });

  test('of a handler that failed runs it again with attempts of its own', async () => {
    const harness = await openTestEngine();
    let executions = 0;
    const fn = define(async (step) => {
      await step.run('one', () => 1);
      executions++;
      if (executions < 6) throw new Error('not yet');
      return executions;
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.clock.advance(MINUTE);
    expect([executions, (await view(harness, runId)).status]).toEqual([2, 'failed']);
    await harness.engine.operations.retry(env, runId);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'failed', attempt: 4, maxAttempts: 4 });
    await harness.engine.operations.resume(env, runId);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 6, attempt: 6 });
  });

  test.each(['completed', 'cancelled', 'waiting', 'paused', 'running', 'queued'] as const)(
    'is refused for a run that is %s, with what can be done',
    async (status) => {
      const harness = await openTestEngine();
      const gate = Promise.withResolvers<void>();
      const fn = define(async (step, { data }) => {
        if (data['status'] === 'running') await step.run('slow', () => gate.promise);
        if (data['status'] !== 'completed') await step.sleep('nap', '1h');
      });
      const worker = await harness.worker([fn]);
      if (status === 'queued') await worker.line.close();
      const runId = await started(harness, fn, { status });
      if (status === 'cancelled') await harness.engine.operations.cancel(env, runId);
      if (status === 'paused') await harness.engine.operations.pause(env, runId);
      const [before] = await harness.store.get(runs, [[runId]]);
      expect(before?.row.status).toBe(status);
      await expect(harness.engine.operations.retry(env, runId)).rejects.toMatchObject({
        name: 'RunStateError',
        code: 'RUN_STATE',
        details: { runId, status },
      });
      expect((await harness.store.get(runs, [[runId]]))[0]).toEqual(before);
      expect(await trail(harness, runId)).toHaveLength(status === 'cancelled' || status === 'paused' ? 1 : 0);
    },
  );

  test('from a step that is not there is refused', async () => {
    const harness = await openTestEngine();
    const fn = define(async () => {
      throw new NonRetryableError('no');
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await expect(harness.engine.operations.retry(env, runId, { fromStep: 'x' })).rejects.toMatchObject({
      code: 'STEP_NOT_FOUND',
    });
  });

  test('of a run past its retention is refused, as it may be gone in part', async () => {
    const harness = await openTestEngine({ settings: { runRetentionMs: 1_000 } });
    const fn = define(async () => {
      throw new NonRetryableError('no');
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.clock.advance(1_000);
    await expect(harness.engine.operations.retry(env, runId)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });
});

test('a retry of a run that was undone does again what was undone, and can undo it again', async () => {
  const harness = await openTestEngine();
  const calls: string[] = [];
  const fn = define(async (step) => {
    await step.run('look', () => void calls.push('look'));
    await step.run('book', ({ attempt }) => void calls.push(`book#${attempt}`));
    step.compensate('book', ({ attempt }) => void calls.push(`unbook#${attempt}`));
    await step.run('pay', () => {
      calls.push('pay');
      throw new NonRetryableError('declined');
    });
  });
  await harness.worker([fn]);
  const runId = await started(harness, fn);
  expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
  expect(calls).toEqual(['look', 'book#1', 'pay', 'unbook#1']);
  await harness.engine.operations.retry(env, runId);
  await harness.clock.settle();
  expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
  expect(calls.slice(4)).toEqual(['book#2', 'pay', 'unbook#2']);
  await expectSound(harness);
});

describe('resume from a step', () => {
  test('of a paused run drops the waits that began after it', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const fn = define(async (step) => {
      await step.run('one', () => void calls.push('one'));
      await step.sleep('nap', '1h');
      return 'done';
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    await harness.engine.operations.resume(env, runId, { fromStep: 'one' });
    await harness.clock.settle();
    expect(calls).toEqual(['one', 'one']);
    await harness.clock.advance(HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', attempt: 1 });
    await expectSound(harness);
  });
});

describe('patch', () => {
  test('of a failed step lets the retry go on with the output that is put there', async () => {
    const harness = await openTestEngine();
    const calls: string[] = [];
    const fn = define(async (step) => {
      try {
        const price = await step.run('price', () => {
          calls.push('price');
          throw new NonRetryableError('no price');
        });
        return { price };
      } finally {
        await step.run('cleanup', () => void calls.push('cleanup'));
      }
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    expect(await view(harness, runId)).toMatchObject({ status: 'failed' });
    const patched = await harness.engine.operations.patchStep(env, `${runId}:price:0`, '42' as never, {
      reason: 'known',
      actor: 'ada',
    });
    expect(patched.step).toMatchObject({ status: 'completed', output: 42, patchedAt: expect.any(String) });
    await harness.engine.operations.retry(env, runId);
    await harness.clock.advance(MINUTE);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: { price: 42 } });
    expect(calls).toEqual(['price', 'cleanup', 'cleanup']);
    const [entry] = await trail(harness, runId);
    expect(entry).toMatchObject({ type: 'step.patched', actor: 'ada', reason: 'known', stepId: `${runId}:price:0` });
    expect(JSON.parse(entry?.payload ?? '')).toMatchObject({ newOutput: 42, error: { message: 'no price' } });
    await expectSound(harness);
  });

  test('of a paused run is what its next execution sees', async () => {
    const harness = await openTestEngine();
    const fn = define(async (step) => {
      const one = await step.run('one', () => 1);
      await step.sleep('nap', '1h');
      return one;
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    await harness.engine.operations.pause(env, runId);
    const { previousOutput } = await harness.engine.operations.patchStep(env, `${runId}:one:0`, '2' as never);
    expect(previousOutput).toBe(1);
    await harness.engine.operations.resume(env, runId);
    await harness.clock.advance(HOUR);
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 2 });
  });

  test('is refused while a worker is at the run, after its end, and for a step that is not there', async () => {
    const harness = await openTestEngine();
    const gate = Promise.withResolvers<void>();
    const fn = define(async (step) => {
      await step.run('one', () => 1);
      await step.run('slow', () => gate.promise);
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn);
    const patch = (id: string) => harness.engine.operations.patchStep(env, id, '2' as never);
    await expect(patch(`${runId}:one:0`)).rejects.toMatchObject({ code: 'RUN_STATE', details: { status: 'running' } });
    gate.resolve();
    await harness.clock.settle();
    await expect(patch(`${runId}:one:0`)).rejects.toMatchObject({
      code: 'RUN_STATE',
      details: { status: 'completed' },
    });
    for (const id of [`${runId}:two:0`, 'run_none:x:0', '']) {
      await expect(patch(id)).rejects.toMatchObject({ code: 'STEP_NOT_FOUND' });
    }
  });
});

describe('rerun', () => {
  test('is another run of the same event, or of other data in its place', async () => {
    const harness = await openTestEngine();
    const seen: unknown[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'start.f' }] }, async ({ event, step }) => {
      seen.push([event.id, event.name, event.data]);
      return step.run('double', () => (event.data as { n: number }).n * 2);
    });
    await harness.worker([fn]);
    const runId = await started(harness, fn, { n: 1 });
    const same = await harness.engine.operations.rerun(env, runId);
    const edited = await harness.engine.operations.rerun(env, runId, { input: '{"n":5}' as never, reason: 'typo' });
    await harness.clock.settle();
    const { eventId } = await view(harness, runId);
    expect(await view(harness, same.id)).toMatchObject({ status: 'completed', output: 2, eventId, rerunOf: runId });
    expect(await view(harness, edited.id)).toMatchObject({ output: 10, eventId, rerunOf: runId, input: { n: 5 } });
    expect(seen).toEqual([
      [eventId, 'start.f', { n: 1 }],
      [eventId, 'start.f', { n: 1 }],
      [eventId, 'start.f', { n: 5 }],
    ]);
    expect((await trail(harness, runId)).map(({ type, reason }) => [type, reason])).toEqual([
      ['run.rerun', null],
      ['run.rerun', 'typo'],
    ]);
    await expectSound(harness);
  });

  test('of a run that was invoked has its input, and answers to no parent', async () => {
    const harness = await openTestEngine();
    const child = define(async (_, { data }) => data['n'], 'child');
    const fn = define(async (step) => step.invoke('child', { n: 3 }));
    await harness.worker([fn, child]);
    const runId = await started(harness, fn);
    await harness.clock.settle();
    const [first] = (await harness.engine.listRuns(env, { functionId: 'child' })).runs;
    const rerun = await harness.engine.operations.rerun(env, first?.id ?? '');
    await harness.clock.settle();
    const again = await view(harness, rerun.id);
    expect(again).toMatchObject({ status: 'completed', output: 3 });
    expect(again.parentRunId).toBeUndefined();
    expect(await view(harness, runId)).toMatchObject({ status: 'completed', output: 3 });
  });
});
