import { describe, expect, test } from 'vitest';
import type { StepClient } from '../step/index.ts';
import { accepted, execute } from '../test-support/index.ts';
import { expectNoRejections } from '../test-support/rejections.ts';

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

expectNoRejections();

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
      { stepId: 'run_1:other:0', kind: 'invoke_async', functionId: 'other', input: { text: '{}' }, sequence: 4 },
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
