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

/** Runs 1,020 steps and returns what a step took around step 10 and around step 1,000, in milliseconds. */
export const flat = createFunction({ id: 'bench-flat', triggers: [{ event: 'bench.flat' }] }, async ({ step }) => {
  const took: number[] = [];
  for (let i = 0; i < 1_020; i++) {
    const at = performance.now();
    await step.run('step', () => ({ i, ok: true }));
    took.push(performance.now() - at);
  }
  const around = (n: number) => took.slice(n - 8, n + 12).sort((a, b) => a - b)[10] ?? 0;
  return { step10: around(10), step1000: around(1_000) };
});
