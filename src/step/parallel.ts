import { ValidationError } from '@ironflow/core';
import type { ParallelOptions } from './options.ts';

interface ScopedBranch {
  readonly start: () => Promise<unknown>;
  /** Lets it go no further than the step it is in. */
  readonly stop: () => void;
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
  if (!(concurrency >= 1))
    throw new ValidationError(`concurrency of parallel "${name}" is ${concurrency}; it must be at least 1.`);
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
      if (--open === 0) resolve(results);
      else startMore(1);
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
    const startMore = (count: number) => {
      for (let started = 0; started < count && next < branches.length && !failed; started++) {
        const index = next++;
        const branch = branches[index];
        if (branch === undefined) return;
        try {
          // A branch that is no promise (a plain function) is taken as it is.
          Promise.resolve(branch.start()).then(
            (result) => settle(index, result),
            (error: unknown) => fail(index, error),
          );
        } catch (error) {
          fail(index, error);
        }
      }
    };
    startMore(concurrency);
  });
}
