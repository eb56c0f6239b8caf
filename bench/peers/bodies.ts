// The bodies of the bench's steps, in every engine's workflows.

import type { FlatResult, Stamp } from './workflow-kinds.ts';

export const one = (i: number): Stamp => ({ i, ok: true });

/** Says when it runs: on one machine all processes read the same clock. */
export const stamped = (i: number): Stamp => ({ i, ok: true, at: performance.timeOrigin + performance.now() });

export const large = (bytes: number) => ({ i: 0, ok: true, body: 'x'.repeat(bytes) });

/** Runs `n` steps in sequence, where `step(i)` is one, and says what the first forty past the fourth and the last forty took. */
export async function timeSteps(
  n: number,
  step: (i: number) => PromiseLike<{ readonly i: number; readonly ok: true }>,
): Promise<FlatResult> {
  const took: number[] = [];
  for (let i = 0; i < n; i++) {
    const startedAt = performance.now();
    const back = await step(i);
    if (back.i !== i || back.ok !== true) throw new Error(`step ${i} returned ${JSON.stringify(back)}`);
    took.push(performance.now() - startedAt);
  }
  return { n: took.length, early: took.slice(4, 44), late: took.slice(-40) };
}
