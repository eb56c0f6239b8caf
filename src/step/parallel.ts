import { ValidationError } from '@ironflow/core';
import type { ParallelOptions } from './options.ts';

interface ScopedBranch {
  readonly start: () => unknown;
  /** Lets it go no further than the step it is in. */
  readonly stop: () => void;
  /** It has come to its end. */
  readonly ended: () => void;
}

/**
 * Runs branches, at most `concurrency` at a time, in order. With `failFast` the first failure stops the others and is thrown at
 * once: a branch that sleeps for a week does not hold it back.
 */
export function runBranches(
  name: string,
  branches: readonly ScopedBranch[],
  options: ParallelOptions,
): Promise<unknown[]> {
  const { concurrency = Number.POSITIVE_INFINITY, onError = 'failFast' } = options;
  if (!(concurrency >= 1) || (!Number.isInteger(concurrency) && concurrency !== Number.POSITIVE_INFINITY)) {
    throw new ValidationError(
      `concurrency of parallel "${name}" is ${concurrency}; it must be a whole number of at least 1.`,
    );
  }
  if (onError !== 'failFast' && onError !== 'allSettled') {
    throw new ValidationError(`onError of parallel "${name}" is "${String(onError)}". Use "failFast" or "allSettled".`);
  }
  return new Promise((resolve, reject) => {
    const results: unknown[] = new Array(branches.length);
    let next = 0;
    let open = branches.length;
    let failed = false;
    if (open === 0) resolve(results);

    const settle = (index: number, result: unknown) => {
      results[index] = result;
      branches[index]?.ended();
      if (--open === 0) resolve(results);
      else startNext();
    };
    const fail = (index: number, error: unknown) => {
      if (onError === 'allSettled') {
        settle(index, error instanceof Error ? error : new Error(String(error), { cause: error }));
        return;
      }
      if (failed) return;
      failed = true;
      for (const branch of branches) branch.stop();
      reject(error);
    };
    const startNext = () => {
      const index = next++;
      const branch = branches[index];
      if (branch === undefined || failed) return;
      // Its first step is called at once; what it throws before that, or returns without a promise, is an end like any other.
      new Promise((begun) => begun(branch.start())).then(
        (result) => settle(index, result),
        (error: unknown) => fail(index, error),
      );
    };
    for (let i = 0; i < Math.min(concurrency, branches.length); i++) startNext();
  });
}
