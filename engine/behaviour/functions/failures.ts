// What fails, and what is tried again, over every transport.

import { expect, test } from 'vitest';
import { NonRetryableError } from '../../../src/index.ts';
import type { BehaviourParts } from './parts.ts';

export function testFailures({ define, execute, finish, provide, start }: BehaviourParts): void {
  test('a failed step is tried again by the policy, and by itself', async () => {
    const starts: string[] = [];
    const fn = define(async ({ step }) => {
      await step.run('steady', () => void starts.push('steady'));
      return step.run('flaky', () => {
        starts.push('flaky');
        if (starts.length < 4) throw new Error('not yet');
        return starts.length;
      });
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: 4 });
    expect(starts).toEqual(['steady', 'flaky', 'flaky', 'flaky']);
  });

  test('the error of a step reaches the function when its attempts are used up, and can be caught', async () => {
    let attempts = 0;
    const fn = define(async ({ step }) => {
      const caught = await step
        .run('always', () => {
          attempts++;
          throw new RangeError('no');
        })
        .catch((error: Error & { code?: string }) => `${error.name} ${error.code} ${error.message}`);
      await step.sleep('nap', 10);
      return caught;
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: 'StepError STEP_FAILED no' });
    expect(attempts).toBe(3);
  });

  test('NonRetryableError ends the step, and the run if nobody catches it', async () => {
    let attempts = 0;
    const fn = define(async ({ step }) =>
      step.run('declined', () => {
        attempts++;
        throw new NonRetryableError('card declined');
      }),
    );
    expect(await execute(fn)).toMatchObject({
      status: 'failed',
      error: { message: 'card declined', retryable: false },
    });
    expect(attempts).toBe(1);
  });

  test('a handler that throws is run again, with what it has recorded', async () => {
    const seen: string[] = [];
    const fn = define(async ({ step, run }) => {
      await step.run('once', () => void seen.push('once'));
      seen.push(`handler ${run.attempt}`);
      if (run.attempt < 3) throw new Error('outside a step');
      return 'ok';
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', attempt: 3 });
    expect(seen).toEqual(['once', 'handler 1', 'handler 2', 'handler 3']);
  });

  test('failFast throws the first failure at once; allSettled gives all results', async () => {
    const fn = define(async ({ step }) => {
      const branches = [
        async (s: typeof step) => s.run('good', () => 'good'),
        async (s: typeof step) =>
          s.run('bad', () => {
            throw new NonRetryableError('bad');
          }),
        (s: typeof step) => s.sleep('long', '1h').then(() => 'late'),
      ];
      const fast = await step.parallel('fast', branches).catch((error: Error) => error.message);
      const settled = await step.parallel('settled', branches.slice(0, 2), { onError: 'allSettled' });
      return [fast, ...settled.map((result) => (result instanceof Error ? `error ${result.message}` : result))];
    });
    expect(await execute(fn)).toMatchObject({ output: ['bad', 'good', 'error bad'] });
  });

  test('a run that fails by a step says which, and what its body threw', async () => {
    const fn = define(async ({ step }) => {
      await step.run('pay', () => {
        throw Object.assign(new NonRetryableError('declined'), { code: 'CARD_DECLINED' });
      });
    });
    await provide([fn]);
    const { status, error } = await finish(await start(fn));
    expect([status, error]).toMatchObject([
      'failed',
      {
        code: 'STEP_FAILED',
        message: 'declined',
        details: {
          stepName: 'pay',
          cause: { name: 'NonRetryableError', code: 'CARD_DECLINED', message: 'declined' },
        },
      },
    ]);
  });

  test('a step has its own retry policy where it says so, and the rest of it from the function', async () => {
    const attempts: Record<string, number> = {};
    const fails = (name: string) => () => {
      attempts[name] = (attempts[name] ?? 0) + 1;
      throw new Error(name);
    };
    const fn = define(async ({ step }) => {
      const ends = (name: string, retry?: { maxAttempts?: number; initialDelayMs?: number }) =>
        step.run(name, fails(name), { retry }).catch((error: Error) => error.message);
      return [await ends('once', { maxAttempts: 1 }), await ends('five', { maxAttempts: 5 }), await ends('as-all')];
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: ['once', 'five', 'as-all'] });
    expect(attempts).toEqual({ once: 1, five: 5, 'as-all': 3 });
    const wrong = define(async ({ step }) => step.run('wrong', () => 1, { retry: { maxAttempts: 0 } }));
    expect(await execute(wrong)).toMatchObject({
      status: 'failed',
      error: { message: expect.stringContaining('retry of step "wrong".maxAttempts is 0') },
    });
  });

  test('a result that is not JSON fails with what to do about it', async () => {
    const step = define(async ({ step }) => step.run('big', () => ({ n: 10n })));
    const handler = define(async () => {
      const loop: Record<string, unknown> = {};
      loop['self'] = loop;
      return loop;
    });
    await provide([step, handler]);
    const failures = await Promise.all([finish(await start(step)), finish(await start(handler))]);
    expect(failures.map(({ status }) => status)).toEqual(['failed', 'failed']);
    expect(failures[0]?.error?.message).toContain('output of step "big" cannot be stored as JSON');
    expect(failures[1]?.error?.message).toContain('output of the function cannot be stored as JSON');
  });

  test('a function that takes another path than its history fails as non-deterministic', async () => {
    let executions = 0;
    const fn = define(async ({ step }) => {
      if (++executions > 1) return step.sleep('same-name', 10);
      await step.run('same-name', () => 1);
      throw new Error('replayed, wherever it goes on');
    });
    const run = await execute(fn);
    expect(run).toMatchObject({ status: 'failed', error: { code: 'NON_DETERMINISTIC' } });
    expect(run.error?.message).toContain('"same-name" is recorded in this run as run');
  });
}
