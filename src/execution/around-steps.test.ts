// docs/concepts/code-around-steps.md, rule by rule.

import { NonRetryableError } from '@ironflow/core';
import type { Report } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { execute, memoOf, turns } from '../test-support/index.ts';
import { watchRejections } from '../test-support/rejections.ts';

const recorded = (reports: readonly Report[]) =>
  reports.flatMap(({ records }) => records.map(({ name, status }) => `${name} ${status}`));
const ends = (reports: readonly Report[]) => reports.flatMap(({ end }) => (end ? [end.status] : []));

describe('code outside steps', () => {
  test('runs again on each replay; bodies do not', async () => {
    const seen: string[] = [];
    const run = await execute(
      async (step) => {
        seen.push('before');
        await step.run('a', () => seen.push('a'));
        seen.push('between');
        await step.run('b', () => seen.push('b'));
      },
      { assignment: { memo: memoOf(['a:0', 'run', 1]), sequence: 1 } },
    );
    expect(seen).toEqual(['before', 'between', 'b']);
    expect(ends(run.reports)).toEqual(['completed']);
  });

  test('finally does not run because the run waits', async () => {
    const seen: string[] = [];
    const run = await execute(async (step) => {
      try {
        await step.sleep('nap', '1h');
      } finally {
        seen.push('finally');
      }
    });
    expect([seen, ends(run.reports)]).toEqual([[], ['suspended']]);
  });
});

describe('a race', () => {
  const race = (seen: string[]) => async (step: Parameters<Parameters<typeof execute>[0]>[0]) => {
    const winner = await Promise.race([step.run('slow', () => 'slow'), step.run('quick', () => 'quick')]);
    seen.push(winner);
    return step.run('after', () => winner);
  };

  test.each([
    ['slow', ['slow:0', 'quick:0']],
    ['quick', ['quick:0', 'slow:0']],
  ])('is won on replay by %s, whose result was recorded first', async (winner, order) => {
    const seen: string[] = [];
    const memo = memoOf(...order.map((id) => [id, 'run', id.split(':')[0]] as const));
    await execute(race(seen), { assignment: { memo, sequence: 2 } });
    expect(seen).toEqual([winner]);
  });

  test('does not stop the body that loses: it is recorded', async () => {
    const loser = Promise.withResolvers<string>();
    const run = await execute(async (step) =>
      Promise.race([step.run('slow', () => loser.promise), step.run('quick', () => 'quick')]),
    );
    expect([recorded(run.reports), ends(run.reports)]).toEqual([['quick completed'], []]);
    loser.resolve('at last');
    await run.settle();
    expect([recorded(run.reports), ends(run.reports)]).toEqual([['quick completed', 'slow completed'], ['completed']]);
  });
});

describe('a step that nobody awaits', () => {
  test('starts when it is called, and is recorded before the run ends', async () => {
    const body = Promise.withResolvers<void>();
    const run = await execute(async (step) => {
      void step.run('floating', () => body.promise);
      return 'done';
    });
    expect(ends(run.reports)).toEqual([]);
    body.resolve();
    await run.settle();
    expect([recorded(run.reports), ends(run.reports)]).toEqual([['floating completed'], ['completed']]);
  });

  test('fails nothing, and its rejection does not reach the process', async () => {
    const rejections = watchRejections();
    const run = await execute(async (step, clock) => {
      void step.run('floating', () => {
        throw new NonRetryableError('no');
      });
      await turns(clock, 5);
      return 'done';
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([recorded(run.reports), ends(run.reports), rejections.take()]).toEqual([
      ['floating failed'],
      ['completed'],
      [],
    ]);
    rejections.stop();
  });

  test('is dropped when it waits and the handler returns', async () => {
    const run = await execute(async (step) => {
      void step.sleep('floating', '1h');
      await step.run('a', () => 1);
    });
    expect(ends(run.reports)).toEqual(['completed']);
  });

  test('does not start once the handler has returned', async () => {
    const calls: string[] = [];
    const run = await execute(async (step, clock) => {
      void turns(clock, 50).then(() => step.run('late', () => calls.push('late')));
    });
    await run.settle();
    expect([calls, ends(run.reports)]).toEqual([[], ['completed']]);
  });
});
