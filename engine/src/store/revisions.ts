/**
 * First revisions for inserted rows. A row that is deleted and inserted again under the same key must not come back with a
 * revision that an old reader still holds, so first revisions only grow: the clock in milliseconds times a thousand, or
 * one more than the last. (An update raises a row's revision by one; a row would need more than a thousand updates in
 * each millisecond of its life to catch up with its successor.)
 */
export class Revisions {
  #last = 0;

  first(now: number): number {
    this.#last = Math.max(this.#last + 1, now * 1_000);
    return this.#last;
  }
}
