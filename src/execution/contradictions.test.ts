import { payloadValue, type Report } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import type { StepClient } from '../step/index.ts';
import { execute, memoOf } from '../test-support/index.ts';
import { expectNoRejections } from '../test-support/rejections.ts';

const never = () => new Promise<never>(() => {});
const outputOf = ({ end }: Report) => (end?.status === 'completed' ? payloadValue(end.output) : undefined);

expectNoRejections();

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
