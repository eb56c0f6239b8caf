import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import type { InvokeOptions, StepClient } from '../../../src/step/index.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const leaf = createFunction({ id: 'leaf', triggers: [] }, async ({ step }) => {
  await step.run('reserve', () => 1);
  step.compensate('reserve', () => 'released');
  await step.waitForEvent('never', { event: 'never.comes' });
});
const middle = createFunction({ id: 'middle', triggers: [] }, async ({ step }) => {
  await step.invoke(leaf, {}, { timeout: '1d' });
});

async function begin(call: (step: StepClient) => Promise<unknown>) {
  const root = createFunction({ id: 'root', triggers: [{ event: 'go' }] }, ({ step }) => call(step));
  const harness = await openTestEngine();
  await harness.worker([root, middle, leaf]);
  const { runIds } = await harness.emit('go');
  await harness.clock.settle();
  const statuses = async () => {
    const { runs } = await harness.engine.listRuns(env, {});
    return Object.fromEntries(runs.map(({ functionId, status }) => [functionId, status]));
  };
  return { ...harness, statuses, runId: runIds[0] ?? '' };
}

const options: InvokeOptions = { timeout: '1d' };

describe('a run that is cancelled', () => {
  test('takes the runs with it that it waits for, and those that they wait for', async () => {
    const { engine, clock, statuses, runId } = await begin((step) => step.invoke(middle, {}, options));
    expect(await statuses()).toEqual({ root: 'waiting', middle: 'waiting', leaf: 'waiting' });
    await engine.operations.cancel(env, runId, { reason: 'enough' });
    expect(await statuses()).toEqual({ root: 'cancelled', middle: 'cancelled', leaf: 'cancelled' });
    await clock.advance(1_000);
    const { runs } = await engine.listRuns(env, { functionId: 'leaf' });
    expect(runs[0]?.error?.message).toContain('was cancelled: run ');
    expect(runs[0]?.error?.message).toContain('enough');
  });

  test('has them undone too, when that is asked for', async () => {
    const { engine, clock, statuses, runId } = await begin((step) => step.invoke(middle, {}, options));
    await engine.operations.cancel(env, runId, { reason: '', compensate: true });
    await clock.settle();
    expect(await statuses()).toEqual({ root: 'cancelled', middle: 'cancelled', leaf: 'cancelled' });
    const { runs } = await engine.listRuns(env, { functionId: 'leaf' });
    expect((await engine.getSteps(env, runs[0]?.id ?? '')).map(({ type, output }) => [type, output])).toContainEqual([
      'compensate',
      'released',
    ]);
  });

  test('leaves those of which that was said, those that it does not wait for, and those whose wait is over', async () => {
    const stays = await begin((step) => step.invoke(leaf, {}, { ...options, cancelWithParent: false }));
    await stays.engine.operations.cancel(env, stays.runId, { reason: '' });
    expect(await stays.statuses()).toEqual({ root: 'cancelled', leaf: 'waiting' });

    const started = await begin(async (step) => {
      await step.invokeAsync(leaf);
      await step.sleep('nap', '1h');
    });
    await started.engine.operations.cancel(env, started.runId, { reason: '' });
    expect(await started.statuses()).toEqual({ root: 'cancelled', leaf: 'waiting' });

    const late = await begin(async (step) => {
      await step.invoke(leaf, {}, { timeout: 1_000 }).catch(() => {});
      await step.sleep('nap', '1h');
    });
    await late.clock.advance(2_000);
    await late.engine.operations.cancel(env, late.runId, { reason: '' });
    expect(await late.statuses()).toEqual({ root: 'cancelled', leaf: 'waiting' });
  });
});
