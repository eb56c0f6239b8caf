// Timeouts of steps and functions, and the signals that bodies have, over every transport.

import { expect, test } from 'vitest';
import type { BehaviourParts } from './parts.ts';

export function testTimeouts({ client, define, execute, finish, provide, start }: BehaviourParts): void {
  test('a step that takes longer than its timeout fails, and its signal aborts', async () => {
    const aborted: boolean[] = [];
    const fn = define(
      async ({ step }) =>
        step
          .run(
            'slow',
            ({ signal }) =>
              new Promise((resolve) => signal.addEventListener('abort', () => resolve(aborted.push(true)))),
            { timeout: 20 },
          )
          .catch((error: Error) => error.name),
      { retry: { maxAttempts: 1 } },
    );
    expect(await execute(fn)).toMatchObject({ output: 'StepTimeoutError' });
    expect(aborted).toEqual([true]);
  });

  test('the signal of a step aborts when its run is cancelled', async () => {
    const { body, begun, aborted } = endless();
    const fn = define(async ({ step }) => step.run('endless', body));
    await provide([fn]);
    const runId = await start(fn);
    await begun;
    await client().cancelRun(runId, 'enough');
    expect(await aborted).toBeInstanceOf(Error);
    expect(await finish(runId)).toMatchObject({ status: 'cancelled' });
    expect((await client().getRunSteps(runId)).steps).toEqual([]);
  });

  test('the signal of a step aborts when the function has used up its timeout; the next attempt gets another', async () => {
    const { body, aborted } = endless();
    let attempts = 0;
    const fn = define(
      async ({ step }) => {
        await step.run('quick', () => 1);
        return step.run('endless', async (context) =>
          ++attempts === 1 ? body(context) : `aborted: ${context.signal.aborted}`,
        );
      },
      { timeout: 300 },
    );
    await provide([fn]);
    const runId = await start(fn);
    expect(await aborted).toBeInstanceOf(Error);
    expect(await finish(runId)).toMatchObject({ status: 'completed', attempt: 2, output: 'aborted: false' });
    expect((await client().getRunSteps(runId)).attempts).toMatchObject([
      { outcome: 'failed', error: { code: 'FUNCTION_TIMEOUT' } },
    ]);
  });

  test('waiting does not count against the timeout of a function', async () => {
    const fn = define(
      async ({ step }) => {
        for (let i = 0; i < 4; i++) await step.sleep('nap', 100);
        return 'done';
      },
      { timeout: 250, retry: { maxAttempts: 1 } },
    );
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: 'done' });
  });

  test('stepTimeout holds for steps without a timeout of their own', async () => {
    const fn = define(
      async ({ step }) => {
        const slow = () => new Promise((resolve) => setTimeout(resolve, 150, 'slow'));
        const own = await step.run('own', slow, { timeout: '10s' });
        const caught = await step.run('default', slow).catch((error: Error) => error.name);
        return [own, caught];
      },
      { stepTimeout: 50, retry: { maxAttempts: 1 } },
    );
    expect(await execute(fn)).toMatchObject({ output: ['slow', 'StepTimeoutError'] });
  });
}

/** A step that ends only when its signal says so, and tells of it. */
const endless = () => {
  const begun = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<unknown>();
  const body = ({ signal }: { readonly signal: AbortSignal }) =>
    new Promise<string>((resolve) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason);
        resolve('aborted');
      });
      begun.resolve();
    });
  return { body, begun: begun.promise, aborted: aborted.promise };
};
