import type { Stored } from '../store/port.ts';
import type { Row, Table } from '../store/table.ts';

export interface CachedRow {
  row: Row | null;
  /** Null for a row that is not there. */
  revision: number | null;
  /** Writes of it that are not committed yet. While there are any, row and revision are what they will leave behind. */
  pendingWrites: number;
}

/**
 * Rows as last read or written by this process, and as they will be once what is on its way is committed. A row in it may
 * be out of date where other processes write too: every command's commit checks what it read, so that costs a retry and
 * never a wrong result.
 *   C1. A row with pending writes is never evicted.
 *   C2. When a write fails, its row leaves the cache as soon as no other write of it is pending: those that were built on
 *       the failed one fail too, and the next reader asks the store.
 */
export class RowCache {
  readonly #rows = new Map<string, CachedRow>();
  readonly #size: number;
  /** Where the search for a row to evict goes on. */
  #hand: MapIterator<[string, CachedRow]>;

  constructor(size: number) {
    this.#size = size;
    this.#hand = this.#rows.entries();
  }

  get(table: Table, key: string): CachedRow | undefined {
    return this.#rows.get(cacheKey(table, key));
  }

  /** Takes what was read from the store, unless a pending write knows better. */
  readFromStore(table: Table, key: string, stored: Stored | null): CachedRow {
    const name = cacheKey(table, key);
    const cached = this.#rows.get(name);
    if (cached !== undefined && cached.pendingWrites > 0) return cached;
    const fresh: CachedRow = { row: stored?.row ?? null, revision: stored?.revision ?? null, pendingWrites: 0 };
    if (stored !== null) this.#keep(name, fresh);
    return fresh;
  }

  willWrite(table: Table, key: string, row: Row | null, revision: number | null): void {
    const name = cacheKey(table, key);
    const cached = this.#rows.get(name);
    if (cached === undefined) this.#keep(name, { row, revision, pendingWrites: 1 });
    else {
      cached.row = row;
      cached.revision = revision;
      cached.pendingWrites++;
    }
  }

  /** A pending write is durable. `row` is given when the store changed it on the way (a stamped column). */
  written(table: Table, key: string, row?: Row): void {
    const cached = this.#rows.get(cacheKey(table, key));
    if (cached === undefined) return;
    cached.pendingWrites--;
    if (cached.pendingWrites > 0) return;
    if (cached.row === null) this.#rows.delete(cacheKey(table, key));
    else if (row !== undefined) cached.row = row;
  }

  /** A pending write was refused, or nobody knows what became of it. */
  writeFailed(table: Table, key: string): void {
    const cached = this.#rows.get(cacheKey(table, key));
    if (cached === undefined) return;
    cached.pendingWrites--;
    if (cached.pendingWrites === 0) this.#rows.delete(cacheKey(table, key));
  }

  /** Drops a row that turned out to be out of date. One with pending writes stays: they will tell. */
  forget(table: Table, key: string): void {
    const name = cacheKey(table, key);
    if (this.#rows.get(name)?.pendingWrites === 0) this.#rows.delete(name);
  }

  #keep(name: string, row: CachedRow): void {
    if (this.#rows.size >= this.#size) this.#evictOldest();
    this.#rows.set(name, row);
  }

  /**
   * The Map holds rows in the order they came; the oldest goes, which is near enough to the least used. The hand stays where it was:
   * from the front it would go over the places of all that went before, each time.
   */
  #evictOldest(): void {
    for (let tries = 0; tries < 100; tries++) {
      const next = this.#hand.next();
      if (next.done) {
        this.#hand = this.#rows.entries();
        continue;
      }
      const [name, row] = next.value;
      if (row.pendingWrites > 0) continue;
      this.#rows.delete(name);
      return;
    }
  }
}

const cacheKey = (table: Table, key: string) => `${table.name} ${key}`;
