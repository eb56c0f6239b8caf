/**
 * The revisions that a writer gives to rows, by puts and by claims. Nobody may take a row for another one that was under the same
 * key: what a command wrote and could not commit, others may have built on before they knew, and their commits fail only if no
 * other row ever bears its revision. So each number is given once:
 *   - Who writes alone counts, from a start drawn by chance from 2^52: the rows hold numbers of processes before it, and its clock
 *     may be behind theirs.
 *   - Where others write too, each number is drawn: two writers that both go on from the same revision must not name what they
 *     make of it the same.
 */
export interface Revisions {
  next(): number;
}

export function countedRevisions(start: number): Revisions {
  let last = start;
  return { next: () => ++last };
}

/** @param number - A random whole number of 52 bits. */
export function drawnRevisions(number: () => number): Revisions {
  return { next: number };
}
