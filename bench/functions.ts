import { createFunction } from '@ironflow/node';

/** Runs `n` steps, one after the other or all at once. A step returns `{ i, ok: true }` without doing anything. */
export const steps = createFunction(
  { id: 'bench-steps', triggers: [{ event: 'bench.steps' }] },
  async ({ event, step }) => {
    const { n, parallel } = event.data as { n: number; parallel?: boolean };
    const one = (i: number) => ({ i, ok: true });
    if (parallel) {
      return step.parallel(
        'all',
        Array.from({ length: n }, (_, i) => (branch: typeof step) => branch.run('step', () => one(i))),
      );
    }
    const results: { i: number; ok: boolean }[] = [];
    for (let i = 0; i < n; i++) results.push(await step.run('step', () => one(i)));
    return results;
  },
);
