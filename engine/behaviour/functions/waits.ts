// What a function waits for: events and other functions, over every transport.

import { expect, test } from 'vitest';
import { type InvokeError, NonRetryableError } from '../../../src/index.ts';
import type { BehaviourParts } from './parts.ts';

export function testWaits({ client, define, execute, finish, provide, start }: BehaviourParts): void {
  test('waitForEvent takes events that come before and after it is called, and only those that match', async () => {
    const fn = define(async ({ event, step }) => {
      await step.run('ready', () => 1);
      await step.sleep('nap', 20);
      const early = await step.waitForEvent('early', { event: `early.${event.data.key}` });
      const late = await step.waitForEvent('late', { event: 'late', match: 'data.key', timeout: '1m' });
      return [early.data.value, late.data.value, late.timestamp instanceof Date];
    });
    await provide([fn]);
    const runId = await start(fn, { key: fn.id });
    await client().emit(`early.${fn.id}`, { value: 'early' });
    await client().emit('late', { key: 'another', value: 'wrong' });
    await client().emit('late', { key: fn.id, value: 'late' });
    expect(await finish(runId)).toMatchObject({ status: 'completed', output: ['early', 'late', true] });
  });

  test('waitForAny takes the first of several events, matched by path or by expression', async () => {
    const fn = define(async ({ step }) => {
      const outcome = await step.waitForAny('outcome', {
        paid: { event: 'any.paid', match: 'data.key == trigger.data.key && data.amount > 10.0' },
        cancelled: { event: 'any.cancelled', match: 'data.key' },
        timeout: '1m',
      });
      const none = await step
        .waitForAny('none', { a: { event: 'never.a' }, b: { event: 'never.b' }, timeout: 20 })
        .catch((error: Error) => error.name);
      return [outcome.which, outcome.event.data.amount, none];
    });
    await provide([fn]);
    const runId = await start(fn, { key: fn.id });
    await client().emit('any.paid', { key: fn.id, amount: 5 });
    await client().emit('any.cancelled', { key: 'another' });
    await client().emit('any.paid', { key: fn.id, amount: 50 });
    await client().emit('any.cancelled', { key: fn.id });
    expect(await finish(runId)).toMatchObject({ status: 'completed', output: ['paid', 50, 'WaitTimeoutError'] });
  });

  test('a wait that times out throws an error that can be caught', async () => {
    const fn = define(async ({ step }) =>
      step.waitForEvent('never', { event: 'never.comes', timeout: 30 }).catch((error: Error) => error.name),
    );
    expect(await execute(fn)).toMatchObject({ output: 'WaitTimeoutError' });
  });

  test('invoke returns what the other function returns, or throws what it said', async () => {
    const child = define(
      async ({ event, step }) => {
        if (event.data.fail) throw new NonRetryableError('the child failed');
        await step.sleep('nap', event.data.slow ? 2_000 : 10);
        return step.run('work', () => ({ doubled: event.data.n * 2 }));
      },
      { triggers: [] },
    );
    const parent = define(async ({ step }) => {
      const result = await step.invoke<{ doubled: number }>(child.id, { n: 4 });
      const failure = await step
        .invoke(child.id, { fail: true })
        .catch((error: Error) => `${error.name}: ${error.message}`);
      const late = await step.invoke(child.id, { slow: true }, { timeout: 1 }).catch((error: Error) => error.name);
      const { runId } = await step.invokeAsync(child.id, { n: 8 });
      return { doubled: result.doubled, failure, late, runId };
    });
    await provide([child, parent]);
    const run = await finish(await start(parent));
    expect(run).toMatchObject({
      status: 'completed',
      output: {
        doubled: 8,
        failure: expect.stringMatching(/^InvokeError: .*the child failed/),
        late: 'InvokeTimeoutError',
      },
    });
    const { runId } = run.output as { runId: string };
    expect(await finish(runId)).toMatchObject({ status: 'completed', output: { doubled: 16 } });
  });

  test('calling a function that nobody registered throws an InvokeError with its id', async () => {
    const fn = define(async ({ step }) =>
      step
        .invoke('nobody', {})
        .catch((error: InvokeError) => [error.name, error.code, error.functionId, error.message]),
    );
    await provide([fn]);
    const { output } = await finish(await start(fn));
    expect(output).toEqual(['InvokeError', 'INVOKE_FAILED', 'nobody', expect.stringContaining('"nobody"')]);
  });
}
