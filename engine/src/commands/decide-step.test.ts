import type { JsonText } from '@ironflow/core';
import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { attempts } from '../store/tables.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const HOUR = 3_600_000;

/** Charges a card, and works beside that; `hang` says whether the charge's worker is to be lost in it. */
function shop(calls: string[], hang: (attempt: number) => boolean, timeout?: string) {
  return createFunction(
    { id: 'shop', triggers: [{ event: 'go' }], retry: { maxAttempts: 3, initialDelayMs: 1_000 } },
    async ({ step }) => {
      const charge = () =>
        step.run(
          'charge',
          async ({ attempt }) => {
            calls.push(`charge ${attempt}`);
            if (hang(attempt)) await new Promise(() => {});
            return `paid ${attempt}`;
          },
          { effect: 'once', ...(timeout !== undefined && { timeout }) },
        );
      const other = async () => {
        await step.sleep('nap', 1_000);
        await step.run('pack', () => void calls.push('pack'));
      };
      const [charged] = await Promise.all([charge().catch((error: Error) => `caught ${error.message}`), other()]);
      return charged;
    },
  );
}

/** A run whose worker was lost in its charge, and that another worker has taken up since. */
async function lost(calls: string[], hang: (attempt: number) => boolean = (attempt) => attempt === 1) {
  const harness = await openTestEngine();
  const first = await harness.worker([shop(calls, hang)]);
  const lose = async (worker: typeof first) => {
    worker.crash();
    await worker.line.close();
    const next = await harness.worker([shop(calls, hang)]);
    await harness.clock.advance(HOUR);
    return next;
  };
  const { runIds } = await harness.emit('go');
  const runId = runIds[0] ?? '';
  await harness.clock.settle();
  const second = await lose(first);
  const stepId = `${runId}:charge:0`;
  const charge = async () => (await harness.engine.getSteps(env, runId)).find(({ id }) => id === stepId);
  return { ...harness, second, lose, runId, stepId, charge, run: () => harness.engine.getRun(env, runId) };
}

describe('a step that must not run twice', () => {
  test('starts once its start is on record, and is then as any other', async () => {
    const calls: string[] = [];
    const harness = await openTestEngine();
    const starts: unknown[] = [];
    await harness.worker([shop(calls, () => false)], {
      between: async (report, send) => {
        if (report.starts !== undefined) starts.push([...calls]);
        return send(report);
      },
    });
    const { runIds } = await harness.emit('go');
    const runId = runIds[0] ?? '';
    await harness.clock.advance(2_000);
    expect(await harness.engine.getRun(env, runId)).toMatchObject({ status: 'completed', output: 'paid 1' });
    expect(starts).toEqual([[]]);
    expect((await harness.engine.getSteps(env, runId))[0]).toMatchObject({
      name: 'charge',
      attempts: [{ number: 1, outcome: 'completed', worker: 'test-worker-1' }],
      starts: { atLeast: 1, atMost: 1 },
    });
    expect(await harness.store.scan({ table: attempts, prefix: [runId], limit: 9 })).toEqual([]);
  });

  test('waits for a decision when its worker is lost, while the rest of the run goes on', async () => {
    const calls: string[] = [];
    const { run, charge } = await lost(calls);
    expect(calls).toEqual(['charge 1', 'pack']);
    expect(await run()).toMatchObject({ status: 'waiting' });
    expect(await charge()).toMatchObject({
      type: 'run',
      status: 'undecided',
      attempts: [{ number: 1, outcome: 'unknown', worker: 'test-worker-1' }],
    });
  });

  test.each([
    ['an output', { kind: 'output', output: '"paid by hand"' as JsonText }, 'paid by hand', 1],
    [
      'an error',
      { kind: 'error', error: { code: 'STEP_FAILED', message: 'not charged', retryable: false } },
      'caught not charged',
      1,
    ],
    ['again', { kind: 'again' }, 'paid 2', 2],
  ] as const)('goes on with %s as it is decided', async (_, decision, output, starts) => {
    const calls: string[] = [];
    const { engine, clock, runId, stepId, run, charge } = await lost(calls);
    await engine.decideStep(env, runId, stepId, decision);
    await clock.settle();
    expect(await run()).toMatchObject({ status: 'completed', output });
    expect(calls.filter((call) => call.startsWith('charge'))).toHaveLength(starts);
    expect((await charge())?.starts).toEqual({ atLeast: starts - 1, atMost: starts }); // of the first one nobody knows
    await expect(engine.decideStep(env, runId, stepId, { kind: 'again' })).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('is lost a second time and waits again', async () => {
    const calls: string[] = [];
    const { engine, clock, runId, stepId, run, charge, second, lose } = await lost(calls, (attempt) => attempt < 3);
    await engine.decideStep(env, runId, stepId, { kind: 'again' });
    await clock.advance(1_000);
    expect(calls).toEqual(['charge 1', 'pack', 'charge 2']);
    expect(await run()).toMatchObject({ status: 'running' });
    await expect(engine.decideStep(env, runId, stepId, { kind: 'again' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('Nothing is to be decided about step'),
    });
    await lose(second);
    expect(await run()).toMatchObject({ status: 'waiting' });
    expect(await charge()).toMatchObject({ status: 'undecided', starts: { atLeast: 0, atMost: 2 } });
    await engine.decideStep(env, runId, stepId, { kind: 'again' });
    await clock.settle();
    expect(await run()).toMatchObject({ status: 'completed', output: 'paid 3' });
  });

  test('is tried again by the policy when it failed, since that is known', async () => {
    const calls: string[] = [];
    const fn = createFunction(
      { id: 'flaky', triggers: [{ event: 'go' }], retry: { maxAttempts: 3, initialDelayMs: 1_000 } },
      ({ step }) =>
        step.run(
          'charge',
          ({ attempt }) => {
            calls.push(`charge ${attempt}`);
            if (attempt < 3) throw new Error('declined');
            return attempt;
          },
          { effect: 'once' },
        ),
    );
    const harness = await openTestEngine();
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(10_000);
    expect(await harness.engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed', output: 3 });
    expect((await harness.engine.getSteps(env, runIds[0] ?? ''))[0]?.attempts.map(({ outcome }) => outcome)).toEqual([
      'failed',
      'failed',
      'completed',
    ]);
  });

  test('is not tried again when it took longer than its timeout: nobody knows', async () => {
    const calls: string[] = [];
    const harness = await openTestEngine();
    await harness.worker([shop(calls, () => true, '2s')]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(HOUR);
    expect(calls).toEqual(['charge 1', 'pack']);
    expect((await harness.engine.getRun(env, runIds[0] ?? '')).output).toMatch(/caught Step "charge" took longer/);
  });

  test('waits for a decision also when the function used up its time in it', async () => {
    const calls: string[] = [];
    const fn = createFunction(
      { id: 'slow', triggers: [{ event: 'go' }], timeout: 1_000, retry: { maxAttempts: 3, initialDelayMs: 100 } },
      ({ step }) => step.run('charge', () => new Promise(() => calls.push('charge')), { effect: 'once' }),
    );
    const harness = await openTestEngine();
    await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.advance(HOUR);
    expect(calls).toEqual(['charge']);
    expect(await harness.engine.getSteps(env, runIds[0] ?? '')).toMatchObject([{ status: 'undecided' }]);
  });
});

test('a step that may run again counts the leases that were lost under it', async () => {
  const calls: string[] = [];
  const fn = createFunction({ id: 'plain', triggers: [{ event: 'go' }] }, async ({ step }) => {
    await step.run('first', () => 1);
    await step.run('second', async () => {
      calls.push('second');
      if (calls.length === 1) await new Promise(() => {});
    });
    await step.run('third', () => 3);
  });
  const harness = await openTestEngine();
  const first = await harness.worker([fn]);
  const { runIds } = await harness.emit('go');
  await harness.clock.settle();
  first.crash();
  await first.line.close();
  await harness.worker([fn]);
  await harness.clock.advance(HOUR);
  const steps = await harness.engine.getSteps(env, runIds[0] ?? '');
  expect(steps.map(({ name, starts, attempts: [only] }) => [name, starts, only?.worker])).toEqual([
    ['first', { atLeast: 1, atMost: 1 }, 'test-worker-1'],
    ['second', { atLeast: 1, atMost: 2 }, 'test-worker-2'],
    ['third', { atLeast: 1, atMost: 2 }, 'test-worker-2'],
  ]);
  expect(calls).toHaveLength(2);
});
