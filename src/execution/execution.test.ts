import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { IronflowError, type JsonText, NonRetryableError, type StepError } from '@ironflow/core';
import { payloadValue, type Report } from '@ironflow/core/wire';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createStepClient, type StepClient } from '../step/index.ts';
import {
  accepted,
  execute,
  memoOf,
  newAssignment,
  turns,
  VirtualClock,
  watchRejections,
} from '../test-support/index.ts';
import type { StepContext } from './body.ts';
import { Execution } from './index.ts';

const HOUR = 3_600_000;
const never = () => new Promise<never>(() => {});
const settled = (stepId: string, wake: number, value: unknown = null) =>
  ({
    kind: 'settled',
    wake,
    entry: {
      stepId: `run_1:${stepId}`,
      name: stepId,
      kind: 'sleep',
      status: 'completed',
      output: { value: value as never },
      wake,
      sequence: 0,
    },
  }) as const;
const outputOf = ({ end }: Report) => (end?.status === 'completed' ? payloadValue(end.output) : undefined);

let rejections: ReturnType<typeof watchRejections>;
beforeAll(() => {
  rejections = watchRejections();
});
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  expect(rejections.take()).toEqual([]);
});
afterAll(() => rejections.stop());

describe('an execution', () => {
  test('gives back what is recorded and calls only the bodies that are not', async () => {
    const calls: string[] = [];
    const run = await execute(
      async (step) => {
        const a = await step.run('a', () => calls.push('a'));
        const b = await step.run('b', () => {
          calls.push('b');
          return 'new';
        });
        return [a, b];
      },
      { assignment: { memo: memoOf(['a:0', 'run', 'old']), sequence: 1 } },
    );
    expect(calls).toEqual(['b']);
    expect(run.outcome()).toEqual({ status: 'completed' });
    expect(outputOf(run.reports.at(-1) as Report)).toEqual(['old', 'new']);
    expect(run.reports.flatMap(({ records }) => records)).toMatchObject([
      { stepId: 'run_1:b:0', kind: 'run', status: 'completed', attempt: 1, sequence: 2, wake: 0 },
    ]);
  });

  test('starts the next step only once the last one is durable', async () => {
    const durable = Promise.withResolvers<void>();
    const calls: string[] = [];
    const run = await execute(
      async (step) => {
        await step.run('a', () => calls.push('a'));
        await step.run('b', () => calls.push('b'));
      },
      {
        answer: async ({ records }) => {
          if (records[0]?.name === 'a') await durable.promise;
          return undefined;
        },
      },
    );
    expect(calls).toEqual(['a']);
    expect(run.reports).toHaveLength(1);
    durable.resolve();
    await run.settle();
    expect(calls).toEqual(['a', 'b']);
  });

  test('records times that do not go back with the clock', async () => {
    const run = await execute(async (step, clock) => {
      await step.run('a', () => {
        const before = clock.now();
        clock.now = () => before - HOUR;
      });
      await step.run('b', () => {});
    });
    const [a, b] = run.reports.flatMap(({ records }) => records);
    expect(b?.startedAt).toBeGreaterThanOrEqual(a?.endedAt ?? Number.POSITIVE_INFINITY);
    expect(a?.endedAt).toBeGreaterThanOrEqual(a?.startedAt ?? Number.POSITIVE_INFINITY);
  });

  test('has one report on its way at most; what ends meanwhile goes into the next', async () => {
    const first = Promise.withResolvers<void>();
    const run = await execute(
      (step, clock) => Promise.all(['a', 'b', 'c'].map((name, i) => step.run(name, () => turns(clock, 3 * i)))),
      {
        answer: async (_, reports) => {
          if (reports.length === 1) await first.promise;
          return undefined;
        },
      },
    );
    expect(run.recorded()).toEqual(['a']);
    first.resolve();
    await run.settle();
    expect(run.reports.map(({ records, end }) => [...records.map(({ name }) => name), end?.status])).toEqual([
      ['a', undefined],
      ['b', 'c', undefined],
      ['completed'],
    ]);
  });

  test('records steps that nobody awaits before it ends', async () => {
    const body = Promise.withResolvers<string>();
    const run = await execute((step) => {
      void step.run('audit', () => body.promise);
      return 'done';
    });
    expect(run.outcome()).toBeUndefined();
    body.resolve('written');
    await run.settle();
    expect(run.recorded()).toEqual(['audit']);
    expect(run.outcome()).toEqual({ status: 'completed' });
    expect(outputOf(run.reports.at(-1) as Report)).toBe('done');
  });

  test('starts nothing after its end, not even when the function kept its step client', async () => {
    const calls: string[] = [];
    let kept: StepClient | undefined;
    const run = await execute((step) => {
      kept = step;
      return 'done';
    });
    let later: unknown = 'never settles';
    kept?.run('late', () => calls.push('late')).then((value) => (later = value));
    kept?.sleep('late-sleep', 1);
    await run.clock.advance(HOUR);
    expect(calls).toEqual([]);
    expect(later).toBe('never settles');
    expect(run.reports).toHaveLength(1);
  });

  test('leaves the error of a step that nobody awaits to the function', async () => {
    const run = await execute((step) => {
      void step.run('audit', () => Promise.reject(new NonRetryableError('disk full')));
      void step.parallel('p', [(s) => s.run('x', () => Promise.reject(new NonRetryableError('y')))]);
      void step.map('m', 'no array' as never, async () => {});
      void step.sleep('s', 'soon');
      return 'done';
    });
    expect(run.outcome()).toEqual({ status: 'completed' });
  });
});

describe('suspension', () => {
  test('comes when nothing but waits is left, and tells all of them at once', async () => {
    const run = await execute((step) =>
      Promise.all([
        step.sleep('nap', '1h'),
        step.waitForEvent('approval', { event: 'approved', timeout: '2h', match: 'data.id' }),
        step.invoke('child', { n: 1 }),
        step.invokeAsync('other'),
      ]),
    );
    expect(run.outcome()).toEqual({ status: 'suspended' });
    expect(run.reports).toHaveLength(1);
    expect(run.reports[0]?.end).toEqual({ status: 'suspended' });
    const until = run.clock.now() + HOUR;
    expect(run.reports[0]?.waits).toMatchObject([
      { stepId: 'run_1:nap:0', name: 'nap', kind: 'sleep', until, sequence: 1, wake: 0 },
      { stepId: 'run_1:approval:0', kind: 'wait_for_event', event: 'approved', match: 'data.id', timeoutMs: 2 * HOUR },
      { stepId: 'run_1:child:0', kind: 'invoke', functionId: 'child', input: { text: '{"n":1}' }, timeoutMs: 30_000 },
      { stepId: 'run_1:other:0', kind: 'invoke_async', functionId: 'other', input: { text: 'null' }, sequence: 4 },
    ]);
  });

  test('is not seen by the function: no catch and no finally of it runs', async () => {
    const seen: string[] = [];
    const run = await execute(async (step) => {
      try {
        await step.sleep('nap', '1h');
        seen.push('after');
      } catch {
        seen.push('catch');
      } finally {
        seen.push('finally');
      }
    });
    expect(run.outcome()).toEqual({ status: 'suspended' });
    await run.clock.advance(2 * HOUR);
    expect(seen).toEqual([]);
  });

  test('does not come while a body runs; waits are told meanwhile, for they count from now', async () => {
    const body = Promise.withResolvers<void>();
    const run = await execute((step) => Promise.all([step.sleep('nap', '1h'), step.run('work', () => body.promise)]));
    expect(run.reports.map(({ waits, end }) => [waits.length, end?.status])).toEqual([[1, undefined]]);
    body.resolve();
    await run.settle();
    expect(run.outcome()).toEqual({ status: 'suspended' });
    expect(run.reports.map(({ waits, records, end }) => [waits.length, records.length, end?.status])).toEqual([
      [1, 0, undefined],
      [0, 1, undefined],
      [0, 0, 'suspended'],
    ]);
  });

  test('goes on in place when the engine says that a wait was met meanwhile', async () => {
    const run = await execute(
      async (step) => {
        await step.sleep('nap', '1h');
        return 'awake';
      },
      {
        answer: ({ end }) =>
          end?.status === 'suspended' ? accepted({ resolutions: [settled('nap:0', 1)] }) : undefined,
      },
    );
    expect(run.outcome()).toEqual({ status: 'completed' });
    expect(run.reports.map(({ end, seenWakes }) => [end?.status, seenWakes])).toEqual([
      ['suspended', 0],
      ['completed', 1],
    ]);
  });

  test('asks again when the engine has news that it cannot tell yet', async () => {
    const run = await execute(async (step) => step.sleep('nap', '1h'), {
      answer: (_, reports) => (reports.length < 3 ? accepted() : accepted({ ended: true })),
    });
    await run.clock.advance(1_000);
    expect(run.reports).toHaveLength(3);
    expect(run.reports.map(({ waits }) => waits.length)).toEqual([1, 0, 0]);
    expect(run.outcome()).toEqual({ status: 'suspended' });
  });

  test('keeps waits that are open already to itself', async () => {
    const run = await execute((step) => Promise.all([step.sleep('nap', '1h'), step.sleep('new', '2h')]), {
      assignment: { waits: [{ stepId: 'run_1:nap:0', kind: 'sleep', dueAt: 0 }], sequence: 1 },
    });
    expect(run.reports.flatMap(({ waits }) => waits)).toMatchObject([{ stepId: 'run_1:new:0', sequence: 2 }]);
  });

  test('sends waits in portions when they are many or their inputs are large', async () => {
    const many = await execute((step) => Promise.all(Array.from({ length: 10_001 }, () => step.sleep('nap', '1h'))));
    expect(many.outcome()).toEqual({ status: 'suspended' });
    expect(many.reports.map(({ waits, end }) => [waits.length, end?.status])).toEqual([
      [10_000, undefined],
      [1, 'suspended'],
    ]);
    const input = 'x'.repeat(1_000_000);
    const large = await execute((step) => Promise.all(Array.from({ length: 9 }, () => step.invoke('child', input))));
    expect(large.outcome()).toEqual({ status: 'suspended' });
    expect(large.reports.flatMap(({ waits }) => waits)).toHaveLength(9);
    for (const { waits } of large.reports) expect(waits.length).toBeLessThanOrEqual(3);
  });
});

describe('results', () => {
  test('settle in the order in which they were recorded, whichever step was called first', async () => {
    const order: string[] = [];
    const memo = memoOf(['c:0', 'run', 'c'], ['a:0', 'run', 'a'], ['b:0', 'run', 'b']);
    const run = await execute(
      (step) => {
        const all = ['a', 'b', 'c'].map((name) => step.run(name, never).then((value) => order.push(value)));
        return Promise.race(['a', 'b', 'c'].map((name) => step.run(name, () => name))).then(async (winner) => {
          await Promise.all(all);
          return winner;
        });
      },
      { assignment: { memo, sequence: 3 } },
    );
    expect(order).toEqual(['c', 'a', 'b']);
    expect(run.outcome()).toEqual({ status: 'completed' });
  });

  test('settle one at a time, with all that follows from one done before the next', async () => {
    const order: string[] = [];
    await execute(
      (step) => {
        const follow = async (name: string) => {
          order.push(await step.run(name, never));
          for (let i = 0; i < 50; i++) await null;
          order.push(`after ${name}`);
        };
        return Promise.all([follow('b'), follow('a')]);
      },
      { assignment: { memo: memoOf(['a:0', 'run', 'a'], ['b:0', 'run', 'b']), sequence: 2 } },
    );
    expect(order).toEqual(['a', 'after a', 'b', 'after b']);
  });

  test('of plain Promise.all, race and allSettled are the same live and on replay', async () => {
    const handler = async (step: StepClient, clock: VirtualClock) => {
      const say = (name: string, delay: number) =>
        step.run(name, async () => {
          await turns(clock, delay);
          if (name === 'bad') throw new NonRetryableError('bad');
          return name;
        });
      const settledSteps = await Promise.allSettled([say('x', 9), say('bad', 1)]);
      return {
        all: await Promise.all([say('a', 5), say('b', 1)]),
        race: await Promise.race([say('slow', 9), say('fast', 1)]),
        settled: settledSteps.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message)),
      };
    };
    const live = await execute(handler);
    const records = live.reports.flatMap(({ records }) => records);
    const replay = await execute(handler, { assignment: { memo: records, sequence: records.length } });
    expect(replay.reports).toHaveLength(1);
    const output = { all: ['a', 'b'], race: 'fast', settled: ['x', 'bad'] };
    expect(outputOf(live.reports.at(-1) as Report)).toEqual(output);
    expect(outputOf(replay.reports.at(-1) as Report)).toEqual(output);
  });

  test.each([
    ['undefined', undefined, null],
    ['a Date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['NaN', Number.NaN, null],
    ['an object with undefined in it', { a: undefined, b: [undefined] }, { b: [null] }],
    ['a Map', new Map([[1, 2]]), {}],
    ['text with half a character', 'a\ud83e', 'a\ud83e'],
  ])('are what JSON makes of them, the first time as on every other: %s', async (_, value, seen) => {
    const values: unknown[] = [];
    const handler = async (step: StepClient) => values.push(await step.run('a', () => value));
    const live = await execute(handler);
    await execute(handler, { assignment: { memo: live.reports.flatMap(({ records }) => records), sequence: 1 } });
    expect(values).toEqual([seen, seen]);
  });

  test('are fresh objects: a function that changes one changes no history', async () => {
    const lists: number[][] = [];
    const memo = memoOf(['a:0', 'run', null]).map((entry) => ({ ...entry, output: { text: '[1]' as JsonText } }));
    const handler = async (step: StepClient) => {
      const list = await step.run('a', () => [0]);
      list.push(2);
      lists.push(list);
    };
    for (let i = 0; i < 2; i++) await execute(handler, { assignment: { memo, sequence: 1 } });
    expect(lists).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });
});

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
});

describe('an output of the function', () => {
  test.each([
    ['that is no JSON', { n: 1n }, 'NOT_SERIALIZABLE'],
    ['that is too large', 'x'.repeat(4 * 1024 * 1024), 'PAYLOAD_TOO_LARGE'],
  ])('%s fails the run for good', async (_, output, code) => {
    const run = await execute(() => output);
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { code, retryable: false } });
    expect(JSON.stringify(run.outcome())).toContain('output of the function');
  });
});

describe('a function that contradicts its history', () => {
  test.each<[string, (step: StepClient) => Promise<unknown>]>([
    ['run', (step) => step.run('x', () => 1)],
    ['wait_for_event', (step) => step.waitForEvent('x', { event: 'e' })],
    ['invoke', (step) => step.invoke('x')],
  ])('fails as non-deterministic when a recorded sleep is now a %s', async (kind, handler) => {
    const run = await execute(handler, { assignment: { memo: memoOf(['x:0', 'sleep', null]), sequence: 1 } });
    expect(run.outcome()).toMatchObject({
      status: 'failed',
      error: {
        code: 'NON_DETERMINISTIC',
        retryable: false,
        details: { stepId: 'run_1:x:0', recorded: 'sleep', now: kind },
      },
    });
  });

  test.each<[string, 'sleep' | 'event' | 'child' | 'retry', (step: StepClient) => Promise<unknown>]>([
    ['a sleep is now a step', 'sleep', (step) => step.run('x', () => 1)],
    ['a wait for an event is now a sleep', 'event', (step) => step.sleep('x', 1)],
    ['a call is now a wait for an event', 'child', (step) => step.waitForEvent('x', { event: 'e' })],
    ['a step that failed is now a call', 'retry', (step) => step.invoke('x')],
  ])('fails as non-deterministic when, of its open waits, %s', async (_, kind, handler) => {
    const waits = [{ stepId: 'run_1:x:0', kind, dueAt: 0 }];
    const run = await execute(handler, { assignment: { waits, sequence: 1 } });
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { code: 'NON_DETERMINISTIC', retryable: false } });
  });

  test('is not suspected where the engine does not record kinds', async () => {
    const run = await execute((step) => step.run('x', never), {
      assignment: { memo: memoOf(['x:0', undefined, 'as recorded']), sequence: 1 },
    });
    expect(outputOf(run.reports.at(-1) as Report)).toBe('as recorded');
  });

  test('fails when it ends without coming to a recorded step, after giving it ten seconds', async () => {
    const run = await execute(() => 'done', {
      assignment: { memo: memoOf(['gone:0', 'run', 1], ['gone:1', 'run', 2]), sequence: 2 },
    });
    await run.clock.advance(9_999);
    expect(run.outcome()).toBeUndefined();
    await run.clock.advance(1);
    expect(run.outcome()).toMatchObject({
      status: 'failed',
      error: {
        code: 'NON_DETERMINISTIC',
        message: expect.stringContaining('"gone", "gone"'),
        details: { recorded: [{ stepId: 'run_1:gone:0', kind: 'run' }, { stepId: 'run_1:gone:1' }] },
      },
    });
  });

  test('fails when it waits somewhere else than before, and the message has both sides', async () => {
    const run = await execute((step) => step.sleep('elsewhere', '1h'), {
      assignment: { memo: memoOf(['here:0', 'run', 1]), sequence: 1 },
    });
    await run.clock.advance(10_000);
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { code: 'NON_DETERMINISTIC' } });
    expect(JSON.stringify(run.outcome())).toMatch(/no longer comes to \\"here\\".*waits at \\"elsewhere\\"/);
  });

  test('does not fail when it comes to the step late, by way of its own I/O', async () => {
    const io = Promise.withResolvers<void>();
    const run = await execute(
      (step) =>
        Promise.all([
          step.sleep('nap', '1h').then(() => 'nap'),
          io.promise.then(() => step.run('late', never)),
          step.run('quick', never),
        ]),
      { assignment: { memo: memoOf(['late:0', 'run', 1], ['quick:0', 'run', 2]), sequence: 2 } },
    );
    await run.clock.advance(5_000);
    expect(run.outcome()).toBeUndefined();
    io.resolve();
    await run.settle();
    expect(run.outcome()).toEqual({ status: 'suspended' });
  });

  test('fails with its own error when it throws before it comes to what is recorded', async () => {
    const run = await execute(() => Promise.reject(new Error('the config server is down')), {
      assignment: { memo: memoOf(['a:0', 'run', 1]), sequence: 1 },
    });
    expect(run.outcome()).toMatchObject({
      status: 'failed',
      error: { message: 'the config server is down', retryable: true },
    });
  });
});

describe('a dropped execution', () => {
  test('gives a body that asks for its signal only then one that is aborted already', async () => {
    let context: StepContext | undefined;
    const job = await execute((step) =>
      step.run('work', (given) => {
        context = given;
        return new Promise(() => {});
      }),
    );
    job.execution.drop('its lease was lost');
    expect(context?.signal.aborted).toBe(true);
    expect(String(context?.signal.reason)).toContain('its lease was lost');
  });

  test('starts nothing more, reports nothing more, and aborts the signals of its bodies', async () => {
    const calls: string[] = [];
    let signal: AbortSignal | undefined;
    const body = Promise.withResolvers<void>();
    const run = await execute(async (step) => {
      await step.run('a', (context) => {
        signal = context.signal;
        return body.promise;
      });
      calls.push('after a');
      await step.run('b', () => calls.push('b'));
    });
    run.execution.drop('its lease was lost');
    expect(run.outcome()).toBeUndefined();
    expect(signal?.aborted).toBe(true);
    expect(String(signal?.reason)).toContain('its lease was lost');
    body.resolve();
    run.execution.resolve(settled('a:0', 1));
    run.execution.drop('again');
    await run.clock.advance(HOUR);
    expect(run.outcome()).toEqual({ status: 'dropped', reason: 'its lease was lost' });
    expect(run.reports).toEqual([]);
    expect(calls).toEqual([]);
  });

  test('lets the function go no further, in the middle of a replay too', async () => {
    const memo = memoOf(...Array.from({ length: 20 }, (_, i) => [`s:${i}`, 'run', i] as const));
    const reached: number[] = [];
    let drop = () => {};
    const run = await execute(
      async (step) => {
        for (let i = 0; i < 20; i++) {
          reached.push(await step.run('s', () => -1));
          if (i === 5) drop();
        }
      },
      {
        assignment: { memo, sequence: 20 },
        onStart: (execution) => {
          drop = () => execution.drop('lost');
        },
      },
    );
    await run.clock.advance(HOUR);
    expect(reached).toEqual([0, 1, 2, 3, 4, 5]);
    expect(run.outcome()).toEqual({ status: 'dropped', reason: 'lost' });
  });

  test('is what becomes of one whose report is refused', async () => {
    const calls: string[] = [];
    const run = await execute(
      async (step) => {
        await step.run('a', () => calls.push('a'));
        await step.run('b', () => calls.push('b'));
      },
      { answer: () => ({ status: 'refused', code: 'STALE_EXECUTION', message: 'another worker has the run' }) },
    );
    expect(run.outcome()).toEqual({ status: 'dropped', reason: 'another worker has the run' });
    expect(calls).toEqual(['a']);
    expect(run.reports).toHaveLength(1);
  });
});

describe('a journal that does not take a report', () => {
  test('fails the run with its reason', async () => {
    const run = await execute((step) => step.run('a', () => 1), {
      answer: ({ end }) => {
        if (end === undefined) throw new IronflowError('the request is too large', { code: 'PAYLOAD_TOO_LARGE' });
        return undefined;
      },
    });
    expect(run.outcome()).toMatchObject({
      status: 'failed',
      error: { code: 'PAYLOAD_TOO_LARGE', message: 'the request is too large', retryable: false },
    });
  });

  test('even of the failure, drops it', async () => {
    const run = await execute((step) => step.run('a', () => 1), {
      answer: () => Promise.reject(new IronflowError('no')),
    });
    expect(run.outcome()).toEqual({ status: 'dropped', reason: 'no' });
    expect(run.reports.map(({ end }) => end?.status)).toEqual([undefined, 'failed']);
  });

  test('and lets the run be tried again where that can help', async () => {
    const run = await execute((step) => step.run('a', () => 1), {
      answer: ({ end }) => {
        if (end === undefined) throw new IronflowError('away', { code: 'CONNECTION_LOST' });
        return undefined;
      },
    });
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { code: 'CONNECTION_LOST', retryable: true } });
  });
});

describe('news of a wait', () => {
  const napping = async (step: StepClient) => {
    const body = step.run('work', never);
    await step.sleep('nap', '1h');
    await step.sleep('nap', '2h');
    return body;
  };

  test('is taken once and in order; when one is missing, the engine is asked for all', async () => {
    const run = await execute(napping);
    expect(run.reports).toHaveLength(1);
    run.execution.resolve(settled('nap:1', 2));
    await run.settle();
    expect(run.reports[1]).toMatchObject({ seenWakes: 0, records: [], waits: [] });
    run.execution.resolve(settled('nap:0', 1));
    run.execution.resolve(settled('nap:0', 1));
    await run.settle();
    expect(run.reports[2]).toMatchObject({ seenWakes: 1, waits: [{ stepId: 'run_1:nap:1' }] });
  });

  test('that comes before the function asks is there when it does', async () => {
    const io = Promise.withResolvers<void>();
    const run = await execute(
      async (step) => {
        await io.promise;
        await step.sleep('nap', '1h');
        return 'awake';
      },
      { assignment: { waits: [{ stepId: 'run_1:nap:0', kind: 'sleep', dueAt: 0 }], sequence: 1 } },
    );
    run.execution.resolve(settled('nap:0', 1));
    await run.settle();
    expect(run.outcome()).toBeUndefined();
    io.resolve();
    await run.settle();
    expect(run.outcome()).toEqual({ status: 'completed' });
  });
});

describe('reports', () => {
  test('carry at most 500 steps, and less when these are large', async () => {
    const many = await execute((step) => Promise.all(Array.from({ length: 1_200 }, () => step.run('s', () => 1))));
    expect(many.reports.map(({ records }) => records.length)).toEqual([500, 500, 200, 0]);
    const large = await execute((step) =>
      Promise.all(Array.from({ length: 5 }, () => step.run('s', () => 'x'.repeat(1_500_000)))),
    );
    expect(large.reports.map(({ records }) => records.length)).toEqual([1, 1, 1, 1, 1, 0]);
  });

  test('number what they record, from where the run had got to', async () => {
    const run = await execute(
      async (step) => {
        await step.run('a', () => 1);
        await Promise.all([step.sleep('nap', 1), step.run('b', () => 2)]);
      },
      { assignment: { sequence: 7, wakes: 3 } },
    );
    const numbered = run.reports.flatMap(({ records, waits }) => [...records, ...waits]);
    expect(numbered.map(({ name, sequence, wake }) => [name, sequence, wake])).toEqual([
      ['a', 8, 3],
      ['b', 10, 3],
      ['nap', 9, 3],
    ]);
  });
});

describe('a long run', () => {
  /** Heap in use after a collection, in bytes. */
  const heapBytes = () => {
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
    return process.memoryUsage().heapUsed;
  };

  test('keeps nothing of a step that is over', async () => {
    const clock = new VirtualClock();
    const heap: number[] = [];
    const execution = new Execution({
      assignment: newAssignment,
      turns: clock,
      journal: { report: async ({ end }) => accepted({ ended: end !== undefined }) },
    });
    const step = createStepClient(execution, undefined);
    const over = execution.run(async () => {
      for (let i = 0; i < 40_000; i++) {
        await step.run('work', ({ signal }) => ({ i, aborted: signal.aborted }), { timeout: '1m' });
        if (i === 10_000) heap.push(heapBytes());
      }
      heap.push(heapBytes());
    });
    expect(await over).toEqual({ status: 'completed' });
    const [early = 0, late = 0] = heap;
    expect((late - early) / 30_000).toBeLessThan(16); // bytes a step: the smallest object has more
  });
});
