// Many runs, many steps, much data, over every transport.

import { expect, test } from 'vitest';
import type { BehaviourParts } from './parts.ts';

export function testLoad({ define, execute, finish, provide, start }: BehaviourParts): void {
  test('many runs at once complete, each with its own result', async () => {
    const fn = define(async ({ event, step }) => {
      const a = await step.run('a', () => event.data.n);
      await step.sleep('nap', 5);
      return step.run('b', () => a * 2);
    });
    await provide([fn]);
    const runIds = await Promise.all(Array.from({ length: 60 }, (_, n) => start(fn, { n })));
    const runs = await Promise.all(runIds.map(finish));
    expect(runs.map(({ output }) => output)).toEqual(runIds.map((_, n) => n * 2));
  });

  test('a run of 1,000 steps in sequence completes', async () => {
    const fn = define(async ({ step }) => {
      let sum = 0;
      for (let i = 0; i < 1_000; i++) sum += await step.run('add', () => i);
      return sum;
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: 499_500 });
  });

  test('a run of 200 parallel branches completes', async () => {
    const fn = define(async ({ step }) => {
      const results = await step.map(
        'all',
        Array.from({ length: 200 }, (_, i) => i),
        async (item, s) => {
          const doubled = await s.run('double', () => item * 2);
          if (item % 50 === 0) await s.sleep('nap', 5);
          return s.run('add', () => doubled + 1);
        },
      );
      return results.reduce((sum, one) => sum + one, 0);
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: 200 * 199 + 200 });
  });

  test('large results pass', async () => {
    const text = 'ä"\\\n'.repeat(200_000);
    const fn = define(async ({ step }) => {
      const big = await step.run('big', () => text);
      await step.sleep('nap', 5);
      return big.length;
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: text.length });
  });
}
