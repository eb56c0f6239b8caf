/**
 * The revisions that a writer gives to rows. Nobody may take a row for another one that was written since, under the same key:
 *   - Who writes alone counts: an update raises a row's revision by one, and the first revisions of inserted rows only grow
 *     (milliseconds times a thousand, or one more than the last), so that a row which is deleted and inserted again does not come
 *     back with a revision that an old reader still holds.
 *   - Where others write too, each number is drawn by chance from 2^52: two writers that both go on from the same revision must not
 *     name what they make of it the same, or the next write of one would take the other's row for its own.
 */
export interface Revisions {
  /** @param before - The revision the row has now; null to insert. */
  next(before: number | null, now: number): number;
}

export function countedRevisions(): Revisions {
  let last = 0;
  return {
    next(before, now) {
      if (before !== null) return before + 1;
      last = Math.max(last + 1, now * 1_000);
      return last;
    },
  };
}

/** @param number - A random whole number of 52 bits. */
export function drawnRevisions(number: () => number): Revisions {
  return { next: () => number() };
}
