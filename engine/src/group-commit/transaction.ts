// Transaction: what a command reads and writes through.
//   T1. What it read with `get` is unchanged when its writes are committed, or the command runs again.
//   T2. Its writes are committed all together or not at all.
//   T3. It sees time as `now` and makes ids with `newId`; it asks nothing else of the world.

import { invariant } from '@ironflow/core';
import type { Ids } from '../ports/ids.ts';
import type { Append, Delete, Guard, Put, Scan, Stamp, Store, WriteSet } from '../store/port.ts';
import type { Revisions } from '../store/revisions.ts';
import { type Key, keyOf, type Row, rowName, type Table } from '../store/table.ts';
import type { CachedRow, RowCache } from './row-cache.ts';

export interface TransactionPorts {
  readonly store: Store;
  readonly cache: RowCache;
  readonly ids: Ids;
  readonly revisions: Revisions;
  /** Reads one row from the store, together with the reads of others. */
  readonly read: (table: Table, key: Key, name: string) => Promise<CachedRow>;
  /** Resolves once the writes to a table that are on their way now have been committed or refused. */
  readonly settled: (table: Table) => Promise<void> | undefined;
}

/** A row that the transaction has to do with. */
interface Touched {
  readonly table: Table;
  readonly key: Key;
  readonly name: string;
  /** The revision it was at; null when it was not there. */
  readonly revision: number | null;
  row: Row | null;
  /** As it was when the transaction came by it first. */
  readonly before: Row | null;
  /** The cache's, when it was read while a write of it was on its way; and how many had failed by then. */
  readonly pending: { readonly cached: CachedRow; readonly failedWrites: number } | undefined;
  /** Whether the commit depends on `revision`. False for a row that only came by in a scan. */
  guarded: boolean;
  written: boolean;
  /** Deleted and inserted anew: not an update, so immutable columns are written too. */
  replaced: boolean;
  nextRevision: number;
  stamp: Stamp | undefined;
}

export class Transaction {
  readonly now: number;
  /** 1 at first; higher when earlier tries met a conflict. Then rows are read that a first try takes for granted. */
  readonly attempt: number;
  readonly #ports: TransactionPorts;
  readonly #touched: Touched[] = [];
  readonly #appends: Append[] = [];
  readonly #afterCommit: ((positions: readonly number[]) => void)[] = [];
  readonly #onDiscard: (() => void)[] = [];
  /** Whether it went by a row of the cache that another process may have changed since. */
  mayBeOutdated = false;

  constructor(ports: TransactionPorts, now: number, attempt: number) {
    this.#ports = ports;
    this.now = now;
    this.attempt = attempt;
  }

  newId(prefix: string): string {
    return this.#ports.ids.next(prefix, this.now);
  }

  newToken(): string {
    return this.#ports.ids.token();
  }

  /** The row, or null. The commit checks that it is still so. */
  async get<R extends Row>(table: Table<R>, key: Key): Promise<R | null> {
    const name = rowName(table, key);
    const touched = this.#find(name);
    if (touched !== undefined) {
      touched.guarded = true;
      return touched.row as R | null; // a row of this table
    }
    const cached = this.#cached(name) ?? (await this.#ports.read(table, key, name));
    return this.#touchCached(table, key, name, cached, true).row as R | null; // a row of this table
  }

  /**
   * Rows of an index range, with all that commands executed before this one wrote. What others write at the same time may
   * be missing: the commit checks only the rows that are then read by key or written.
   */
  async scan<R extends Row>(scan: Scan<R>): Promise<R[]> {
    await this.#ports.settled(scan.table);
    const found = await this.#ports.store.scan(scan);
    if (scan.table.position !== undefined) return found.map(({ row }) => row); // entries of a log never change
    const rows: R[] = [];
    for (const stored of found) {
      const key = keyOf(scan.table, stored.row);
      const name = rowName(scan.table, key);
      const cached = this.#ports.cache.get(name);
      const touched =
        this.#find(name) ??
        (cached !== undefined && cached.pendingWrites > 0
          ? this.#touchCached(scan.table, key, name, cached, false)
          : this.#touch(scan.table, key, name, stored.revision, stored.row, false));
      if (touched.row !== null) rows.push(touched.row as R); // a row of this table
    }
    return rows;
  }

  head(log: Table, partition: Key): Promise<number> {
    return this.#ports.store.head(log, partition);
  }

  /** Has the commit check that no such row is there, without reading it now. */
  expectAbsent(table: Table, key: Key): void {
    const name = rowName(table, key);
    if (this.#find(name) === undefined) this.#touch(table, key, name, null, null, true);
  }

  /** Inserts a row that must not be there. It need not have been read: the commit finds out. */
  insert<R extends Row>(table: Table<R>, row: R, stamp?: Stamp): void {
    const key = keyOf(table, row);
    const name = rowName(table, key);
    const touched = this.#find(name) ?? this.#touch(table, key, name, null, null, true);
    invariant(touched.row === null, `an inserted row is not there yet (${name})`);
    touched.stamp = stamp;
    if (touched.written && touched.revision !== null) {
      touched.replaced = true;
      touched.nextRevision = this.#ports.revisions.next();
    }
    this.#write(touched, row);
  }

  /** Replaces a row that this transaction has read or inserted. */
  update<R extends Row>(table: Table<R>, row: R): void {
    const touched = this.#find(rowName(table, keyOf(table, row)));
    invariant(touched !== undefined && touched.row !== null, `an updated row has been read (${table.name})`);
    this.#write(touched, row);
  }

  /** Deletes a row that this transaction has read. */
  delete(table: Table, key: Key): void {
    const touched = this.#find(rowName(table, key));
    invariant(touched !== undefined && touched.row !== null, `a deleted row has been read (${table.name})`);
    this.#write(touched, null);
  }

  /** @returns which of the transaction's appends it is: `afterCommit` has its position there, and a stamp can ask for it. */
  append<R extends Row>(log: Table<R>, row: Omit<R, 'position'>): number {
    return this.#appends.push({ log, row: row as Row }) - 1; // Append takes all columns but the position
  }

  /** Runs once the writes are durable, with the positions of what was appended; never if they are not. */
  afterCommit(effect: (positions: readonly number[]) => void): void {
    this.#afterCommit.push(effect);
  }

  /** Undoes what was done outside the database, when this try is given up. */
  onDiscard(undo: () => void): void {
    this.#onDiscard.push(undo);
  }

  /** Calls `each` for every row that it has to do with: as it came by it, as it leaves it, and whether it writes it. */
  forRows(each: (table: Table, before: Row | null, row: Row | null, written: boolean) => void): void {
    for (const { table, before, row, written } of this.#touched) each(table, before, row, written);
  }

  // For the group commit.

  /** Whether it built on a write that has failed since, so that its commit would be refused. */
  get restsOnFailed(): boolean {
    return this.#touched.some(
      ({ pending }) => pending !== undefined && pending.cached.failedWrites > pending.failedWrites,
    );
  }

  /** Whether it went by a write that is not durable yet. */
  get restsOnPending(): boolean {
    return this.#touched.some(({ pending }) => pending !== undefined && pending.cached.pendingWrites > 0);
  }

  /** From here on it writes nothing, and is committed only if all that it went by is as it was. */
  dropWrites(): void {
    for (const touched of this.#touched) {
      touched.guarded ||= touched.written || touched.pending !== undefined;
      touched.written = false;
    }
    this.#appends.length = 0;
    this.#afterCommit.length = 0;
  }

  writeSet(): WriteSet {
    const guards: Guard[] = [];
    const puts: Put[] = [];
    const deletes: Delete[] = [];
    for (const { table, key, revision, row, guarded, written, replaced, nextRevision, stamp } of this.#touched) {
      if (written && row !== null) {
        if (replaced && revision !== null) deletes.push({ table, key, expected: revision });
        const put = { table, row, expected: replaced ? null : revision, revision: nextRevision };
        puts.push(stamp === undefined ? put : { ...put, stamp });
      } else if (written && revision !== null) deletes.push({ table, key, expected: revision });
      else if (guarded) guards.push({ table, key, expected: revision });
    }
    return { guards, puts, deletes, appends: this.#appends };
  }

  /** Calls `each` for every row that is written, in the order of the write set's puts where it is put; null is a deleted one. */
  forWrites(each: (name: string, row: Row | null, revision: number | null, table: Table) => void): void {
    for (const { table, name, row, revision, written, nextRevision } of this.#touched) {
      if (!written) continue;
      if (row !== null) each(name, row, nextRevision, table);
      else if (revision !== null) each(name, null, null, table);
    }
  }

  /** Calls `each` for every row that it has to do with and does not write. */
  forGuards(each: (name: string) => void): void {
    for (const { name, guarded, written } of this.#touched) if (guarded && !written) each(name);
  }

  committed(positions: readonly number[]): void {
    for (const effect of this.#afterCommit) effect(positions);
  }

  /** Once; again, it does nothing. */
  discarded(): void {
    for (const undo of this.#onDiscard.splice(0)) undo();
  }

  /** What the cache has of a row, if that may be gone by. */
  #cached(name: string): CachedRow | undefined {
    const { cache, store } = this.#ports;
    const cached = cache.get(name);
    if (cached === undefined || store.exclusive || cached.pendingWrites > 0) return cached;
    // After a conflict the cached row may be what caused it.
    if (this.attempt > 1) return undefined;
    this.mayBeOutdated = true;
    return cached;
  }

  #find(name: string): Touched | undefined {
    for (const touched of this.#touched) if (touched.name === name) return touched;
    return undefined;
  }

  #touchCached(table: Table, key: Key, name: string, cached: CachedRow, guarded: boolean): Touched {
    const { row, revision, pendingWrites, failedWrites, isDoomed } = cached;
    // The write may have failed between the answer to the reader and here.
    const known = isDoomed ? -1 : failedWrites;
    const pending = pendingWrites === 0 && !isDoomed ? undefined : { cached, failedWrites: known };
    return this.#touch(table, key, name, revision, row, guarded, pending);
  }

  #touch(
    table: Table,
    key: Key,
    name: string,
    revision: number | null,
    row: Row | null,
    guarded: boolean,
    pending?: Touched['pending'],
  ): Touched {
    const touched: Touched = {
      table,
      key,
      name,
      revision,
      row,
      before: row,
      pending,
      guarded,
      written: false,
      replaced: false,
      nextRevision: 0,
      stamp: undefined,
    };
    this.#touched.push(touched);
    return touched;
  }

  #write(touched: Touched, row: Row | null): void {
    if (!touched.written) {
      touched.written = true;
      touched.nextRevision = this.#ports.revisions.next();
    }
    touched.row = row;
  }
}
