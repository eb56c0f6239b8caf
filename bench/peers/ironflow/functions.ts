import { createFunction, type StepClient } from '@ironflow/node';
import { large, one, stamped, timeSteps } from '../bodies.ts';
import type { WorkflowKind } from '../workflow-kinds.ts';

type Handler = (step: StepClient, argument: number) => Promise<unknown>;

const handlers: Readonly<Record<WorkflowKind, Handler>> = {
  async seq(step, n) {
    const results: unknown[] = [];
    for (let i = 0; i < n; i++) results.push(await step.run('step', () => one(i)));
    return results;
  },
  fan: (step, n) =>
    step.parallel(
      'all',
      Array.from({ length: n }, (_, i) => (branch: StepClient) => branch.run('step', () => one(i))),
    ),
  async nap(step, ms) {
    const before = await step.run('before', () => stamped(0));
    await step.sleep('nap', ms);
    return [before, await step.run('after', () => stamped(1))];
  },
  async wait(step) {
    await step.waitForEvent('answer', { event: 'bench.answer', match: 'data.key', timeout: '1h' });
    return [await step.run('after', () => stamped(0))];
  },
  first: async (step) => [await step.run('step', () => stamped(0))],
  large: async (step, bytes) => [await step.run('step', () => large(bytes))],
  flat: (step, n) => timeSteps(n, (i: number) => step.run('step', () => one(i))),
};

/** The function of kind `seq` has the id `bench-seq` and starts on the event `bench.seq`; the data is `{ argument, key }`. */
export const functions = Object.entries(handlers).map(([kind, handler]) =>
  createFunction({ id: `bench-${kind}`, triggers: [{ event: `bench.${kind}` }] }, ({ event, step }) =>
    handler(step, (event.data as { argument: number }).argument),
  ),
);
