import { NonRetryableError, StepError, ValidationError } from '@ironflow/core';
import { payloadText, payloadValue, type Report } from '@ironflow/core/wire';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execute, memoOf, type Scripted, turns, type VirtualClock } from '../test-support/index.ts';
import { expectNoRejections } from '../test-support/rejections.ts';
import type { Branch, StepClient } from './index.ts';

const never = () => new Promise<never>(() => {});
const fail = (message: string) => () => {
  throw new NonRetryableError(message);
};
const outputOf = ({ reports }: Scripted) => {
  const end = (reports.at(-1) as Report).end;
  return end?.status === 'completed' ? payloadValue(end.output) : end;
};
/** What a call of a step comes to: its value, or its error. */
const outcomeOf = async (call: (step: StepClient) => Promise<unknown>) => {
  let outcome: unknown = 'does not settle';
  const run = await execute((step) => {
    const called = call(step);
    expect(called).toBeInstanceOf(Promise);
    const keep = (what: unknown) => {
      outcome = what;
    };
    return called.then(keep, keep);
  });
  return { outcome, run };
};

expectNoRejections();

describe('ids', () => {
  test('are those of the contract: by branch, name and count; a call of a function has its id as name', async () => {
    const run = await execute(async (step) => {
      await step.run('a:b', () => 1);
      await step.run('a:b', () => 2);
      await step.parallel('p', [
        async (s) => {
          await s.run('x', () => 1);
          await s.parallel('q', [(t) => t.run('x', () => 1)]);
        },
        (s) => s.map('m', ['one', 'two'], (item, t) => t.run(item, () => 1)),
      ]);
      await Promise.all([step.invoke('billing/charge'), step.invokeAsync('billing/charge'), step.sleep('a:b', 1)]);
    });
    const ids = run.reports.flatMap(({ records, waits }) => [...records, ...waits].map(({ stepId }) => stepId));
    expect(ids.sort()).toEqual(
      [
        'run_1:a\\:b:0',
        'run_1:a\\:b:1',
        'run_1:p:0:x:0',
        'run_1:p:0:q:0:x:0',
        'run_1:p:1:m:0:one:0',
        'run_1:p:1:m:1:two:0',
        'run_1:billing/charge:0',
        'run_1:billing/charge:1',
        'run_1:a\\:b:2',
      ].sort(),
    );
  });

  test('go on counting where an earlier parallel of the same name stopped', async () => {
    const run = await execute(async (step) => {
      for (let i = 0; i < 2; i++) await step.parallel('p', [(s) => s.run('x', () => i)]);
    });
    const ids = run.reports.flatMap(({ records }) => records.map(({ stepId }) => stepId));
    expect(ids).toEqual(['run_1:p:0:x:0', 'run_1:p:0:x:1']);
  });
});

describe('wrong use', () => {
  const half = 'a\ud83e';
  test.each<[string, (step: StepClient) => Promise<unknown>, RegExp]>([
    ['a step without a name', (s) => s.run('', () => 1), /needs a name/],
    ['a name that is no text', (s) => s.run(7 as never, () => 1), /needs a name/],
    ['a very long name', (s) => s.sleep('x'.repeat(256), 1), /longer than 255/],
    ['a name that is cut within a character', (s) => s.run(half, () => 1), /half of a character/],
    ['a step without a body', (s) => s.run('a', undefined as never), /^Step "a" has no body/],
    ['a step whose body was called', (s) => s.run('a', Promise.resolve(1) as never), /^Step "a" has no body/],
    ['a timeout that is none', (s) => s.run('a', () => 1, { timeout: 'soon' }), /^timeout of step "a" is "soon"/],
    ['a sleep of no time', (s) => s.sleep('nap', 0), /^duration of step "nap" is 0/],
    ['a sleep without a duration', (s) => s.sleep('nap', undefined as never), /^duration of step "nap" is undefined/],
    ['a sleep of years', (s) => s.sleep('nap', '400d'), /366 days/],
    ['a sleep until no date', (s) => s.sleepUntil('nap', 'tomorrow'), /until "tomorrow", which is no date/],
    ['a sleep until an invalid Date', (s) => s.sleepUntil('nap', new Date('x')), /until "Invalid Date"/],
    ['a sleep until a number', (s) => s.sleepUntil('nap', 5 as never), /until "5", which is no date/],
    ['a wait without a filter', (s) => s.waitForEvent('w', undefined as never), /without a name.*event: "order/],
    ['a wait for a blank name', (s) => s.waitForEvent('w', { event: ' ' }), /without a name/],
    ['a wait for a pattern', (s) => s.waitForEvent('w', { event: 'order.*' }), /wildcard/],
    ['a match that is no text', (s) => s.waitForEvent('w', { event: 'e', match: {} as never }), /match of step "w"/],
    ['a wait with a wrong timeout', (s) => s.waitForEvent('w', { event: 'e', timeout: -1 }), /^timeout of step "w"/],
    ['a call of nothing', (s) => s.invoke(''), /^step.invoke needs a function .*given ""\.$/],
    [
      'a call of what is not there yet',
      (s) => s.invokeAsync(undefined as never),
      /^step.invokeAsync needs .* given undefined\. Look whether two modules import each other/,
    ],
    ['a call of another object', (s) => s.invoke({} as never), /given an object without an id\.$/],
    ['a message to no topic', (s) => s.publish(''), /^The topic of step.publish "" is empty/],
    ['a message to what is no topic', (s) => s.publish(undefined as never), /^step.publish needs a topic/],
    [
      'an alternative without a name',
      (s) => s.waitForAny('w', { paid: 'order.paid' }),
      /^Step "w.paid" waits for an event without a name/,
    ],
    ['an input that is no JSON', (s) => s.invoke('f', { n: 1n }), /^The input of invoke "f" cannot be stored/],
    [
      'an input that is too large',
      (s) => s.invokeAsync('f', 'x'.repeat(4 * 1024 * 1024)),
      /^The input of invokeAsync "f"/,
    ],
    ['a call with a wrong timeout', (s) => s.invoke('f', 1, { timeout: '1 h 5 m' }), /^timeout of invoke "f"/],
    ['branches that are no array', (s) => s.parallel('p', {} as never), /^parallel "p" needs an array of functions/],
    [
      'a branch that was called',
      (s) => s.parallel('p', [never() as never]),
      /^Branch 0 of parallel "p" is no function/,
    ],
    ['a concurrency of 0', (s) => s.parallel('p', [], { concurrency: 0 }), /^concurrency of parallel "p" is 0/],
    ['a concurrency of 2.5', (s) => s.parallel('p', [], { concurrency: 2.5 }), /whole number/],
    ['an unknown onError', (s) => s.parallel('p', [], { onError: 'ignore' as never }), /"failFast" or "allSettled"/],
    ['items that are no array', (s) => s.map('m', new Set() as never, never), /^map "m" needs an array of items/],
    ['a map without a function', (s) => s.map('m', [], undefined as never), /^map "m" needs a function/],
    [
      'parallels nested too deep for an id',
      (step) => {
        const nest = (s: StepClient, depth: number): Promise<unknown> =>
          depth === 0 ? s.run('x', () => 1) : s.parallel('p'.repeat(250), [(inner) => nest(inner, depth - 1)]);
        return nest(step, 9);
      },
      /longer than 2048 bytes/,
    ],
  ])('%s is a rejection that says what to do', async (_, call, message) => {
    const { outcome, run } = await outcomeOf(call);
    expect((outcome as Error).message).toMatch(message);
    expect(['VALIDATION_ERROR', 'NOT_SERIALIZABLE', 'PAYLOAD_TOO_LARGE']).toContain((outcome as ValidationError).code);
    expect((outcome as ValidationError).retryable).toBe(false);
    expect(run.reports.flatMap(({ records, waits }) => [...records, ...waits])).toEqual([]);
  });

  test('takes no count: the next right call has the id that it would have had', async () => {
    const run = await execute(async (step) => {
      await step.run('a', () => 1, { timeout: 'soon' }).catch(() => {});
      await step.invoke('f', 1n).catch(() => {});
      await step.run('a', () => 1);
      await step.invoke('f');
    });
    const ids = run.reports.flatMap(({ records, waits }) => [...records, ...waits].map(({ stepId }) => stepId));
    expect(ids).toEqual(['run_1:a:0', 'run_1:f:0']);
  });
});

describe('sleepUntil, waitForEvent and invoke', () => {
  test.each([
    [new Date(Date.UTC(2030, 0, 1)), Date.UTC(2030, 0, 1)],
    ['2030-01-01T00:00:00Z', Date.UTC(2030, 0, 1)],
    ['2030-01-01', Date.UTC(2030, 0, 1)],
    [new Date(0), 0],
  ])('sleeps until %s', async (date, until) => {
    const run = await execute((step) => step.sleepUntil('nap', date));
    expect(run.reports[0]?.waits).toMatchObject([{ kind: 'sleep', until }]);
  });

  test('calls a function with an empty object when it is given nothing, and with null when it is given that', async () => {
    const run = await execute((step) =>
      Promise.all([step.invoke('f'), step.invokeAsync('f'), step.invoke('f', null), step.invoke('f', undefined)]),
    );
    const inputs = run.reports.flatMap(({ waits }) => waits).map((wait) => 'input' in wait && payloadText(wait.input));
    expect(inputs).toEqual(['{}', '{}', 'null', '{}']);
  });

  test('waits seven days, and trims what it is told', async () => {
    const run = await execute((step) => step.waitForEvent('w', { event: ' order.paid ', match: ' data.id ' }));
    expect(run.reports[0]?.waits).toEqual([
      expect.objectContaining({ event: 'order.paid', match: 'data.id', timeoutMs: 7 * 86_400_000 }),
    ]);
  });

  test('gives the event with its timestamp as a Date', async () => {
    const event = { id: 'evt_2', name: 'paid', data: { ok: true }, timestamp: '2027-01-01T00:00:00.000Z' };
    let seen: unknown;
    await execute(async (step) => (seen = await step.waitForEvent('w', { event: 'paid' })), {
      assignment: { memo: memoOf(['w:0', 'wait_for_event', event]), sequence: 1 },
    });
    expect(seen).toEqual({ ...event, version: 1, timestamp: new Date('2027-01-01T00:00:00.000Z') });
  });
});

describe('parallel', () => {
  test('gives the results of its branches in their order, whatever they return', async () => {
    const { outcome } = await outcomeOf((step) =>
      step.parallel('p', [
        async (s) => s.run('a', () => 'a'),
        async () => undefined,
        (() => 'no promise') as never,
        async (s) => {
          const [b] = await s.parallel('q', [async (t) => t.run('b', () => 'b')]);
          return `nested ${b}`;
        },
      ]),
    );
    expect(outcome).toEqual(['a', undefined, 'no promise', 'nested b']);
  });

  test('of no branches, and map of no items, are over at once', async () => {
    expect((await outcomeOf((step) => step.parallel('p', []))).outcome).toEqual([]);
    expect((await outcomeOf((step) => step.map('m', [], never, { onError: 'allSettled' }))).outcome).toEqual([]);
  });

  test('never has more branches under way than its limit, and as many as it may', async () => {
    const durations = fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(durations, fc.integer({ min: 1, max: 6 }), fc.boolean(), async (list, limit, settled) => {
        let underWay = 0;
        let most = 0;
        const started: number[] = [];
        const handler = (step: StepClient, clock: VirtualClock) =>
          step.map(
            'm',
            list,
            async (duration, s, index) => {
              started.push(index);
              most = Math.max(most, ++underWay);
              await s.run('work', () => turns(clock, duration));
              underWay--;
              return index;
            },
            { concurrency: limit, onError: settled ? 'allSettled' : 'failFast' },
          );
        const run = await execute(handler);
        expect(outputOf(run)).toEqual(list.map((_, index) => index));
        expect(most).toBe(Math.min(limit, list.length));
        expect(started).toEqual(list.map((_, index) => index));
      }),
      { numRuns: 50 },
    );
  });

  test('counts a branch that sleeps among those under way', async () => {
    const started: string[] = [];
    const branch =
      (name: string): Branch =>
      async (s) => {
        started.push(name);
        await s.sleep('nap', '1h');
      };
    const run = await execute((step) => step.parallel('p', ['a', 'b', 'c'].map(branch), { concurrency: 2 }));
    expect(started).toEqual(['a', 'b']);
    expect(run.outcome()).toEqual({ status: 'suspended' });
  });

  describe('with failFast', () => {
    test('throws the first failure at once, while another branch sleeps for a week', async () => {
      const run = await execute(async (step) => {
        const error = await step
          .parallel('p', [(s) => s.sleep('nap', '7d'), (s) => s.run('x', fail('no stock'))])
          .catch((error: StepError) => error);
        return [(error as StepError).name, (error as StepError).message];
      });
      expect(outputOf(run)).toEqual(['StepError', 'no stock']);
    });

    test('starts no further branch, and lets those under way go no further than their step', async () => {
      const called: string[] = [];
      const say = (name: string) => () => called.push(name);
      const run = await execute(async (step, clock) => {
        const failed = await step
          .parallel(
            'p',
            [
              (s) => s.run('x', fail('no')),
              async (s) => {
                await s.run('long', () => turns(clock, 9));
                called.push('behind long');
                await s.parallel('nested', [(t) => t.run('never', say('never'))]);
              },
              async (s) =>
                s.parallel('inner', [
                  async (t) => {
                    await t.run('long', () => turns(clock, 9));
                    await t.run('never', say('never'));
                  },
                ]),
              (s) => s.run('not begun', say('not begun')),
            ],
            { concurrency: 3 },
          )
          .catch((error: Error) => error.message);
        await step.run('after', say('after'));
        await step.run('long after', () => turns(clock, 20));
        return failed;
      });
      expect(outputOf(run)).toBe('no');
      expect(called).toEqual(['after', 'behind long']);
    });

    test('throws what a branch throws by itself, be it before its first step', async () => {
      const broken = (() => {
        throw new RangeError('broken');
      }) as Branch;
      const { outcome } = await outcomeOf((step) => step.parallel('p', [broken, (s) => s.run('a', never)]));
      expect(outcome).toBeInstanceOf(RangeError);
    });
  });

  describe('with allSettled', () => {
    test('runs every branch to its end, and has an Error in the place of a failed one', async () => {
      const { outcome } = await outcomeOf((step) =>
        step.parallel(
          'p',
          [
            (s) => s.run('x', fail('no')),
            (s) => s.run('a', () => 'a'),
            () => Promise.reject('text'),
            (s) => s.run('b', () => 'b'),
          ],
          { onError: 'allSettled', concurrency: 1 },
        ),
      );
      const [first, a, text, b] = outcome as unknown[];
      expect(first).toBeInstanceOf(StepError);
      expect([a, b]).toEqual(['a', 'b']);
      expect(text).toEqual(new Error('text', { cause: 'text' }));
    });

    test('waits for branches that sleep', async () => {
      const run = await execute((step) =>
        step.parallel('p', [(s) => s.run('x', fail('no')), (s) => s.sleep('nap', '7d')], { onError: 'allSettled' }),
      );
      expect(run.outcome()).toEqual({ status: 'suspended' });
    });

    test('goes through thousands of branches that fail before their first step', async () => {
      const broken = (() => {
        throw new Error('broken');
      }) as Branch;
      const { outcome } = await outcomeOf((step) =>
        step.parallel('p', new Array<Branch>(20_000).fill(broken), { onError: 'allSettled', concurrency: 1 }),
      );
      expect(outcome).toHaveLength(20_000);
    });
  });

  test('map hands each item, a step client of its own, and the index', async () => {
    const { outcome } = await outcomeOf((step) =>
      step.map('m', ['a', 'b'], (item, s, index) => s.run('x', ({ idempotencyKey }) => [item, index, idempotencyKey])),
    );
    expect(outcome).toEqual([
      ['a', 0, 'run_1:m:0:x:0'],
      ['b', 1, 'run_1:m:1:x:0'],
    ]);
  });

  test('may be thrown away: its failure does not end the process', async () => {
    const run = await execute(async (step) => {
      void step.parallel('p', [(s) => s.run('x', fail('nobody listens'))]);
      await step.run('after', () => 1);
      return 'done';
    });
    expect(outputOf(run)).toBe('done');
  });
});

test('ValidationError of a step can be caught by its class', async () => {
  expect((await outcomeOf((step) => step.sleep('nap', -1))).outcome).toBeInstanceOf(ValidationError);
});
