import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type JsonText, NonRetryableError } from '@ironflow/core';
import { payloadValue, type Report } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { createStepClient, type StepClient } from '../step/index.ts';
import { accepted, execute, memoOf, newAssignment, turns, VirtualClock } from '../test-support/index.ts';
import { expectNoRejections } from '../test-support/rejections.ts';
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

expectNoRejections();

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
