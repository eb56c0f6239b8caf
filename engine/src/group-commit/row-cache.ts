import type { Stored } from '../store/port.ts';
import type { Row, Table } from '../store/table.ts';

export interface CachedRow {
  row: Row | null;
  /** Null for a row that is not there. */
  revision: number | null;
  /** Writes of it that are not committed yet. While there are any, row and revision are what the last will leave behind. */
  pendingWrites: number;
  /** Writes of it that failed: who read it when there were fewer may have built on one that did. */
  failedWrites: number;
  /** A write failed and none became ready since: row and revision are those of what failed, or was built on it. */
  isDoomed: boolean;
  /** Length of its payloads. */
  length: number;
}

export interface RowCacheLimits {
  readonly rowsMax: number;
  /** Characters of payloads (JSON columns) in all rows together. */
  readonly payloadLengthMax: number;
}

/**
 * Rows as last read or written by this process, and as they will be once what is on its way is committed. A row in it may
 * be out of date where other processes write too: every command's commit checks what it read, so that costs a retry and
 * never a wrong result.
 *   C1. A row with pending writes is never evicted.
 *   C2. From when a write fails nobody is given what it would have left behind: readers ask the store until another write is ready,
 *       and a command that read it before is not committed. Else each would build on the next one that is bound to fail, for as
 *       long as they keep coming.
 *   C3. Beyond rows with pending writes, it holds no more than its limits.
 * Rows go by `rowName`.
 */
export class RowCache {
  readonly #rows = new Map<string, CachedRow>();
  readonly #limits: RowCacheLimits;
  /** Where the search for a row to evict goes on. */
  #hand: MapIterator<[string, CachedRow]>;
  #length = 0;

  constructor(limits: RowCacheLimits) {
    this.#limits = limits;
    this.#hand = this.#rows.entries();
  }

  get(name: string): CachedRow | undefined {
    const cached = this.#rows.get(name);
    return cached?.isDoomed === true ? undefined : cached;
  }

  /** Takes what was read from the store, unless a pending write knows better. */
  readFromStore(table: Table, name: string, stored: Stored | null): CachedRow {
    const cached = this.#rows.get(name);
    const isPending = cached !== undefined && cached.pendingWrites > 0;
    if (isPending && !cached.isDoomed) return cached;
    const fresh = cachedRow(table, stored?.row ?? null, stored?.revision ?? null, 0);
    if (isPending) return fresh; // its place belongs to what is pending, until that is settled
    if (cached !== undefined) this.#remove(name, cached);
    if (stored !== null) this.#keep(name, fresh);
    return fresh;
  }

  willWrite(table: Table, name: string, row: Row | null, revision: number | null): void {
    const cached = this.#rows.get(name);
    if (cached === undefined) {
      this.#keep(name, cachedRow(table, row, revision, 1));
      return;
    }
    const length = payloadLength(table, row);
    this.#length += length - cached.length;
    cached.row = row;
    cached.revision = revision;
    cached.pendingWrites++;
    cached.isDoomed = false;
    cached.length = length;
  }

  /** A pending write is durable. `row` is given when the store changed it on the way (a stamped column). */
  written(name: string, row?: Row): void {
    const cached = this.#rows.get(name);
    if (cached === undefined) return;
    cached.pendingWrites--;
    if (cached.pendingWrites > 0) return;
    if (cached.row === null || cached.isDoomed) this.#remove(name, cached);
    else if (row !== undefined) cached.row = row;
  }

  /** A pending write was refused, or nobody knows what became of it. */
  writeFailed(name: string): void {
    const cached = this.#rows.get(name);
    if (cached === undefined) return;
    cached.failedWrites++;
    cached.isDoomed = true;
    cached.pendingWrites--;
    if (cached.pendingWrites === 0) this.#remove(name, cached);
  }

  /** Drops a row that turned out to be out of date. One with pending writes stays: they will tell. */
  forget(name: string): void {
    const cached = this.#rows.get(name);
    if (cached?.pendingWrites === 0) this.#remove(name, cached);
  }

  /** Drops the rows of a table: any may be out of date. */
  forgetAll(table: Table): void {
    const prefix = `${table.name} `; // as in `rowName`
    for (const [name, cached] of this.#rows) {
      if (cached.pendingWrites === 0 && name.startsWith(prefix)) this.#remove(name, cached);
    }
  }

  #keep(name: string, row: CachedRow): void {
    const { rowsMax, payloadLengthMax } = this.#limits;
    while (this.#rows.size >= rowsMax || this.#length + row.length > payloadLengthMax) if (!this.#evictOldest()) break;
    this.#rows.set(name, row);
    this.#length += row.length;
  }

  #remove(name: string, row: CachedRow): void {
    this.#rows.delete(name);
    this.#length -= row.length;
  }

  /**
   * The Map holds rows in the order they came; the oldest goes, which is near enough to the least used. The hand stays where it was:
   * from the front it would go over the places of all that went before, each time. False when it found none.
   */
  #evictOldest(): boolean {
    for (let tries = 0; tries < 100; tries++) {
      const next = this.#hand.next();
      if (next.done) {
        this.#hand = this.#rows.entries();
        continue;
      }
      const [name, row] = next.value;
      if (row.pendingWrites > 0) continue;
      this.#remove(name, row);
      return true;
    }
    return false;
  }
}

const cachedRow = (table: Table, row: Row | null, revision: number | null, pendingWrites: number): CachedRow => ({
  row,
  revision,
  pendingWrites,
  failedWrites: 0,
  isDoomed: false,
  length: payloadLength(table, row),
});

function payloadLength({ payloads }: Table, row: Row | null): number {
  if (row === null) return 0;
  let length = 0;
  for (const name of payloads) {
    const value = row[name];
    if (typeof value === 'string') length += value.length;
  }
  return length;
}
