import { IronflowError, NonRetryableError, type StepError } from '@ironflow/core';
import { payloadValue, type Report } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import type { StepClient } from '../step/index.ts';
import { accepted, execute } from '../test-support/index.ts';
import { expectNoRejections } from '../test-support/rejections.ts';

const never = () => new Promise<never>(() => {});
const outputOf = ({ end }: Report) => (end?.status === 'completed' ? payloadValue(end.output) : undefined);

expectNoRejections();

describe('a body', () => {
  test.each([
    ['a BigInt', 1n],
    ['a function', () => {}],
  ])('that returns %s fails its step for good, with a message that says why', async (_, value) => {
    let caught: unknown;
    const run = await execute(async (step) => {
      await step.run('charge', () => value as never).catch((error) => (caught = error));
      return 'caught';
    });
    expect(run.outcome()).toEqual({ status: 'completed' });
    expect(run.reports[0]?.records).toMatchObject([
      { status: 'failed', error: { code: 'NOT_SERIALIZABLE', retryable: false } },
    ]);
    expect((caught as Error).message).toMatch(/^The output of step "charge" .*plain data/);
  });

  test('that returns more than 4 MiB fails its step and names the limit', async () => {
    const run = await execute((step) => step.run('big', () => 'ü'.repeat(2 * 1024 * 1024)));
    const details = { limit: 'payloadBytesMax', value: 4 * 1024 * 1024, bytes: 4 * 1024 * 1024 + 2 };
    expect(run.reports[0]?.records[0]?.error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', retryable: false, details });
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { code: 'STEP_FAILED', retryable: false } });
    const fits = await execute((step) => step.run('fits', () => 'x'.repeat(4 * 1024 * 1024 - 2)).then(() => 'ok'));
    expect(fits.outcome()).toEqual({ status: 'completed' });
  });

  test('is told its attempt and a key that is the same for every attempt', async () => {
    const told: unknown[] = [];
    const run = await execute(
      (step) =>
        step.run('pay', ({ attempt, idempotencyKey }) => {
          told.push([attempt, idempotencyKey]);
          if (attempt < 3) throw new Error('again');
        }),
      {
        answer: ({ records: [record] }) =>
          record?.status === 'failed'
            ? accepted({
                retries: [{ stepId: record.stepId, attempt: record.attempt + 1, dueAt: 0 }],
                resolutions: [
                  { kind: 'retry', wake: record.attempt, stepId: record.stepId, attempt: record.attempt + 1 },
                ],
              })
            : undefined,
      },
    );
    expect(run.outcome()).toEqual({ status: 'completed' });
    expect(told).toEqual([
      [1, 'run_1:pay:0'],
      [2, 'run_1:pay:0'],
      [3, 'run_1:pay:0'],
    ]);
    expect(run.reports.flatMap(({ records }) => records.map(({ attempt, wake }) => [attempt, wake]))).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
  });

  test('that is told of its retry before it is told that it gets one is tried again', async () => {
    const stepId = 'run_1:flaky:0';
    const late = Promise.withResolvers<void>();
    const attempts: number[] = [];
    const run = await execute(
      (step) =>
        step.run('flaky', ({ attempt }) => {
          attempts.push(attempt);
          if (attempt === 1) throw new Error('no');
          return 'yes';
        }),
      {
        answer: async ({ records, end }) => {
          if (records[0]?.attempt !== 1) return accepted({ ended: end !== undefined });
          await late.promise;
          return accepted({ retries: [{ stepId, attempt: 2, dueAt: 0 }] });
        },
      },
    );
    run.execution.resolve({ kind: 'retry', wake: 1, stepId, attempt: 2 });
    late.resolve();
    await run.settle();
    expect(attempts).toEqual([1, 2]);
    expect(run.outcome()).toEqual({ status: 'completed' });
  });

  test('that failed waits with its branch alone for the retry, also in a later execution', async () => {
    const calls: unknown[] = [];
    const handler = (step: StepClient) =>
      step.parallel('both', [
        (s) =>
          s.run('flaky', ({ attempt }) => {
            calls.push(`flaky ${attempt}`);
            if (attempt === 1) throw new Error('again');
            return 'ok';
          }),
        async (s) => {
          await s.run('a', () => calls.push('a'));
          return s.run('b', () => calls.push('b'));
        },
      ]);
    const stepId = 'run_1:both:0:flaky:0';
    const first = await execute(handler, {
      answer: ({ records }) =>
        records.some(({ status }) => status === 'failed')
          ? accepted({ retries: [{ stepId, attempt: 2, dueAt: 1 }] })
          : undefined,
    });
    expect(calls).toEqual(['flaky 1', 'a', 'b']);
    expect(first.outcome()).toEqual({ status: 'suspended' });
    const memo = first.reports.flatMap(({ records }) => records.filter(({ status }) => status === 'completed'));
    const parked = await execute(handler, {
      assignment: { memo, sequence: 9, waits: [{ stepId, kind: 'retry', dueAt: 1 }] },
    });
    expect(parked.outcome()).toEqual({ status: 'suspended' });
    const resumed = await execute(handler, {
      assignment: { memo, sequence: 9, wakes: 1, attempts: [{ stepId, attempt: 2 }] },
    });
    expect(resumed.outcome()).toEqual({ status: 'completed' });
    expect(calls).toEqual(['flaky 1', 'a', 'b', 'flaky 2']);
  });

  test('that is to be tried again is not, once the handler has failed and the end is on its way', async () => {
    const calls: unknown[] = [];
    const ended = Promise.withResolvers<void>();
    const stepId = 'run_1:flaky:0';
    const run = await execute(
      (step) => {
        step.run('flaky', ({ attempt }) => {
          calls.push(attempt);
          throw new Error('again');
        });
        return step.run('fatal', () => {
          throw new NonRetryableError('no');
        });
      },
      {
        answer: async ({ end, records }) => {
          if (end !== undefined) await ended.promise;
          const retries = records.some((record) => record.stepId === stepId) ? [{ stepId, attempt: 2, dueAt: 0 }] : [];
          return accepted({ ended: end !== undefined, retries });
        },
      },
    );
    expect(run.reports.at(-1)?.end?.status).toBe('failed');
    run.execution.resolve({ kind: 'retry', wake: 1, stepId, attempt: 2 });
    await run.settle();
    ended.resolve();
    await run.settle();
    expect(calls).toEqual([1]);
    expect(run.outcome()).toMatchObject({ status: 'failed' });
  });

  test('that takes longer than its timeout fails its attempt, and its signal aborts', async () => {
    let signal: AbortSignal | undefined;
    let caught: unknown;
    const run = await execute((step) =>
      step
        .run(
          'slow',
          (context) => {
            signal = context.signal;
            return never();
          },
          { timeout: '30s' },
        )
        .catch((error) => (caught = error)),
    );
    await run.clock.advance(29_999);
    expect(signal?.aborted).toBe(false);
    expect(run.reports).toEqual([]);
    await run.clock.advance(1);
    expect(signal?.aborted).toBe(true);
    expect(run.reports[0]?.records).toMatchObject([
      { status: 'failed', error: { code: 'STEP_TIMEOUT', retryable: true }, startedAt: run.clock.now() - 30_000 },
    ]);
    expect(caught).toMatchObject({ name: 'StepTimeoutError', stepName: 'slow', timeoutMs: 30_000 });
    expect(run.clock.nextAt).toBeUndefined();
  });

  test('has the timeout of the function where it has none of its own, in branches too', async () => {
    const run = await execute(
      (step) =>
        step.parallel(
          'p',
          [(s) => s.run('a', never), (s) => s.run('b', never, { timeout: 500 }), (s) => s.run('c', () => 'quick')],
          { onError: 'allSettled' },
        ),
      { stepTimeoutMs: 200 },
    );
    await run.clock.advance(1_000);
    const records = run.reports.flatMap(({ records }) => records);
    expect(records.map(({ name, status, endedAt, startedAt }) => [name, status, endedAt - startedAt])).toEqual([
      ['c', 'completed', 0],
      ['a', 'failed', 200],
      ['b', 'failed', 500],
    ]);
    expect(run.clock.nextAt).toBeUndefined();
  });

  test('that comes to an end after its timeout is not heard any more', async () => {
    const body = Promise.withResolvers<string>();
    const run = await execute((step) => step.run('slow', () => body.promise, { timeout: 10 }).catch(() => 'timed out'));
    await run.clock.advance(10);
    body.reject(new Error('too late'));
    await run.settle();
    expect(run.recorded()).toEqual(['slow']);
    expect(outputOf(run.reports.at(-1) as Report)).toBe('timed out');
  });

  test('does not start while the gate is closed, nor once the execution was dropped', async () => {
    let gate: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
    const calls: string[] = [];
    const script = { gate: () => gate?.promise };
    const run = await execute((step) => step.run('a', () => calls.push('a')), script);
    const dropped = await execute((step) => step.run('b', () => calls.push('b')), script);
    dropped.execution.drop('lost');
    const ended = await execute((step) => void step.run('c', () => calls.push('c')), script);
    expect(calls).toEqual([]);
    expect(ended.outcome()).toBeUndefined();
    const { resolve } = gate;
    gate = undefined;
    resolve();
    await run.settle();
    expect(calls).toEqual(['a', 'c']);
    expect(run.outcome()).toEqual({ status: 'completed' });
    expect(ended.outcome()).toEqual({ status: 'completed' });
  });
});

describe('what a body or a handler throws', () => {
  const hostile = new Proxy(new Error('hostile'), {
    get: () => {
      throw new Error('do not look');
    },
  });
  const circular: Record<string, unknown> = Object.create(null);
  circular['self'] = circular;
  const odd = Object.assign(new Error('odd'), { message: { not: 'text' }, name: 7, retryAfterMs: -5 });
  const foreign = { name: 'SystemError', message: 'from another realm', code: 'ENOENT', stack: 'stack' };

  test.each<[string, unknown, object]>([
    ['an Error', new RangeError('off'), { name: 'RangeError', code: 'ERROR', message: 'off', retryable: true }],
    ['an error with a code', Object.assign(new Error('x'), { code: 'E_X' }), { code: 'E_X', retryable: true }],
    ['text', 'no', { message: 'no', code: 'ERROR', retryable: true }],
    ['undefined', undefined, { message: 'undefined', retryable: true }],
    ['an object', { reason: 1 }, { message: '{"reason":1}', retryable: true }],
    ['an error of another realm', foreign, { name: 'SystemError', message: 'from another realm', code: 'ENOENT' }],
    ['NonRetryableError', new NonRetryableError('no'), { code: 'NON_RETRYABLE', retryable: false }],
    ['an error that sets its delay', Object.assign(new Error('x'), { retryAfterMs: 90 }), { retryAfterMs: 90 }],
    ['an error whose fields are of other types', odd, { message: '[object Object]', name: '7' }],
    [
      'details that are no JSON',
      new IronflowError('x', { details: { big: 1n } }),
      { message: 'x', code: 'UNKNOWN_ERROR' },
    ],
    ['an error that cannot be read', hostile, { code: 'ERROR', retryable: true }],
    ['an object that cannot be shown', circular, { code: 'ERROR', retryable: true }],
    ['a very long message', new Error('x'.repeat(1_000_000)), { message: `${'x'.repeat(16_384)}…` }],
  ])('becomes a failure that can be stored: %s', async (_, thrown, failure) => {
    const fail = () => {
      throw thrown;
    };
    const step = await execute((step) => step.run('a', fail));
    const stored = step.reports[0]?.records[0]?.error;
    expect(stored).toMatchObject(failure);
    const handler = await execute(fail);
    expect(handler.outcome()).toMatchObject({ status: 'failed', error: failure });
    for (const one of [stored, (handler.outcome() as { error: object }).error]) {
      expect(JSON.stringify(one).length).toBeLessThan(40_000);
      expect(one).not.toHaveProperty('retryAfterMs', -5);
    }
  });

  test('reaches the function as a StepError with a likeness of it as its cause, live as on replay', async () => {
    const seen: unknown[] = [];
    const handler = async (step: StepClient) => {
      const error: StepError = await step
        .run('charge', () => {
          throw new NonRetryableError('declined', { code: 'CARD_DECLINED', details: { card: 1 } });
        })
        .catch((error) => error);
      const cause = error.cause as Error & { code: string };
      seen.push([error.name, error.message, error.code, error.retryable, error.stepId, error.stepName, error.details]);
      seen.push([cause.name, cause.message, cause.code]);
    };
    const live = await execute(handler);
    await execute(handler, { assignment: { memo: live.reports.flatMap(({ records }) => records), sequence: 1 } });
    expect(seen.slice(0, 2)).toEqual([
      ['StepError', 'declined', 'STEP_FAILED', false, 'run_1:charge:0', 'charge', { card: 1 }],
      ['NonRetryableError', 'declined', 'CARD_DECLINED'],
    ]);
    expect(seen.slice(2)).toEqual(seen.slice(0, 2));
  });

  test('shows where its body threw, live as on replay, also where it fails the run', async () => {
    const declineTheCard = () => {
      throw new NonRetryableError('declined');
    };
    const live = await execute((step) => step.run('charge', declineTheCard));
    const { error } = live.outcome() as { error: { stack: string } };
    expect(error.stack).toMatch(/^NonRetryableError: declined\n\s+at declineTheCard /);
    const memo = live.reports.flatMap(({ records }) => records);
    const replayed = await execute((step) => step.run('charge', declineTheCard), { assignment: { memo, sequence: 1 } });
    expect(replayed.outcome()).toEqual(live.outcome());
  });
});
