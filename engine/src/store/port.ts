// The Store port: a small transactional table store with optimistic concurrency. It knows nothing of runs.
// Each operation's promise is written at its place; `conformance/` holds every adapter to it.

import type { Key, Row, Table, Value } from './table.ts';

export interface Stored<R extends Row = Row> {
  readonly row: R;
  /** Changes with every write of the row. Opaque but for equality; `expected: null` stands for "no such row". */
  readonly revision: number;
}

/** A range over the columns that follow `prefix`; bounds are compared column by column. */
export interface ScanRange {
  readonly after?: Key;
  readonly from?: Key;
  readonly to?: Key;
  readonly before?: Key;
}

export interface Scan<R extends Row = Row> extends ScanRange {
  readonly table: Table<R>;
  /** A declared index, or the key when absent. */
  readonly index?: string;
  /** Values that the index's first columns must equal. */
  readonly prefix?: Key;
  /** Values that other columns must equal: rows of the range are looked at and left out, so it is for ranges that are small. */
  readonly where?: Readonly<Record<string, Value>>;
  readonly limit: number;
  readonly direction?: 'forward' | 'backward';
}

export interface Guard {
  readonly table: Table;
  readonly key: Key;
  readonly expected: number | null;
}

/**
 * Asks for a column to be set by this very commit: to the head of a log, with its own appends counted, or to the position that one of
 * its own appends is given.
 */
export type Stamp =
  | { readonly column: string; readonly log: Table; readonly partition: Key }
  | { readonly column: string; readonly append: number };

export interface Put {
  readonly table: Table;
  readonly row: Row;
  /** The revision the row has now; null to insert. */
  readonly expected: number | null;
  /** The revision it gets. Writers choose it, so that a row's next revision is known before it is committed. */
  readonly revision: number;
  readonly stamp?: Stamp;
}

export interface Delete {
  readonly table: Table;
  readonly key: Key;
  /** Undefined deletes whatever is there (log entries, which never change). */
  readonly expected: number | undefined;
}

export interface Append {
  readonly log: Table;
  /** The entry, all columns but the position. */
  readonly row: Row;
}

/** What one command writes: all of it or none. Deletes come first, so a row can be deleted and inserted anew. */
export interface WriteSet {
  readonly guards: readonly Guard[];
  readonly puts: readonly Put[];
  readonly deletes: readonly Delete[];
  readonly appends: readonly Append[];
}

export type CommitResult =
  /** Durable. `positions[i]` is that of `appends[i]`; `stamps[i]` is the stamped value of `puts[i]`, if it asked for one. */
  | { readonly ok: true; readonly positions: readonly number[]; readonly stamps: readonly (number | undefined)[] }
  /** Nothing of it was written: these rows were not at their expected revision. At least one is named. */
  | { readonly ok: false; readonly conflicts: readonly { readonly table: Table; readonly key: Key }[] };

/** Takes up to `limit` rows of an index range and changes them, skipping rows another claim holds at this moment. */
export interface Claim<R extends Row = Row> extends Scan<R> {
  readonly set: Readonly<Record<string, Value>>;
  /** Columns to set where they are null. */
  readonly fill?: Readonly<Record<string, Value>>;
  /** Integer columns to raise by one. */
  readonly increment: readonly string[];
  /** The revision they get, all the same one: as with a put, the writer chooses it, and never one that it gave before. */
  readonly revision: number;
  /** Rows that must be at their expected revision, or nothing is claimed. */
  readonly guards?: readonly Guard[];
}

export interface Store {
  /** True when no other process can write: what was read once stays true until this process changes it. */
  readonly exclusive: boolean;

  /** Brings the schema up to this version. @throws {StoreNewerError} when the database is newer. */
  migrate(): Promise<void>;

  /** The rows with these keys, in their order; null for each that is not there. */
  get<R extends Row>(table: Table<R>, keys: readonly Key[]): Promise<(Stored<R> | null)[]>;

  /** Rows of an index range, in the index's order. */
  scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]>;

  /** How many rows the range has, counting no further than `limit`. */
  count(scan: Scan): Promise<number>;

  /** The position of the newest entry of a log's partition; 0 when empty. */
  head(log: Table, partition: Key): Promise<number>;

  /**
   * Applies write sets in order. Each is atomic and fails alone when a row is not at its expected revision. When the call
   * returns, all that succeeded are durable; when it throws, none is known to be written or not.
   */
  commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]>;

  /** Claims rows in a commit of its own, durable when it returns. Null when a guard does not hold. */
  claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null>;

  /** Calls back when another process has notified `channel`. A hint: losing one may cost time, never correctness. */
  watch(channel: string, listener: (payload: string) => void): () => void;

  /** Tells watchers of `channel` in other processes. Best effort. */
  notify(channel: string, payload: string): void;

  /** Writes a consistent copy of the whole database to a path, while in use. */
  backup(path: string): Promise<void>;

  close(): Promise<void>;
}

export const emptyWriteSet: WriteSet = { guards: [], puts: [], deletes: [], appends: [] };
