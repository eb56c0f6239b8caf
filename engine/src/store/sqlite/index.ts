// The SQLite store: one process, one file, on Node's own SQLite. WAL with synchronous=FULL, so a commit that returned is on
// the disk. Calls into SQLite are synchronous: a commit takes the thread for as long as the disk needs to sync, which the
// group commit above spreads over everything that is ready (docs/adr/0003).
//
//   S1. One process at a time opens a data directory (directory-lock.ts), so this connection is the only writer.
//   S2. commit() runs one transaction. A write set that fails leaves no trace; the others are as if it had not been there.
//   S3. The revisions that are remembered are those in the database, because nobody else writes (S1): a guard on a row that this
//       process wrote or looked at lately asks the database nothing. What is rolled back is forgotten.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { backup as backupDatabase, DatabaseSync, type StatementSync } from 'node:sqlite';
import { invariant } from '@ironflow/core';
import { StoreUnavailableError } from '../errors.ts';
import type { Append, Claim, CommitResult, Guard, Put, Scan, Stamp, Store, Stored, WriteSet } from '../port.ts';
import { type Key, keyOf, keyText, type Row, type Table, type Value } from '../table.ts';
import { lockDirectory } from './directory-lock.ts';
import { assertMigrated, migrate } from './migrate.ts';
import { migrations as engineMigrations, type Migration } from './migrations.ts';
import { Statements } from './statements.ts';

type SqlValue = string | number | null;

interface Conflict {
  readonly table: Table;
  readonly key: Key;
}

export interface SqliteStoreOptions {
  /** The data directory; made when it is not there. */
  readonly directory: string;
  /** The schema, as the migrations that make it. Default: the engine's own tables. */
  readonly migrations?: readonly Migration[];
  /** Only reads, beside an engine that has the directory. Default false. */
  readonly readOnly?: boolean;
}

export class SqliteStore implements Store {
  readonly exclusive = true;
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #lock: { release(): void } | undefined;
  readonly #migrations: readonly Migration[];
  #statements: Statements | undefined;
  #heads = new Map<string, number>();

  /** @throws {StoreLockedError} when another engine uses the directory. */
  constructor({ directory, migrations = engineMigrations, readOnly = false }: SqliteStoreOptions) {
    this.#migrations = migrations;
    this.path = join(directory, 'ironflow.db');
    if (readOnly) {
      if (!existsSync(this.path)) throw new StoreUnavailableError(`There is no database at ${this.path}.`);
      this.#db = new DatabaseSync(this.path, { readOnly: true });
      return;
    }
    mkdirSync(directory, { recursive: true });
    this.#lock = lockDirectory(directory);
    this.#db = new DatabaseSync(this.path);
    this.#db.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF',
    );
  }

  async migrate(): Promise<void> {
    if (this.#lock !== undefined) migrate(this.#db, this.path, this.#migrations);
    else assertMigrated(this.#db, this.path, this.#migrations);
    this.#statements = new Statements(this.#db);
  }

  async get<R extends Row>(table: Table<R>, keys: readonly Key[]): Promise<(Stored<R> | null)[]> {
    const { select, booleans } = this.#prepared.of(table);
    return keys.map((key) => {
      const found = select.get(...sqlValues(key));
      return found === undefined ? null : storedFrom<R>(found as SqlRow, booleans);
    });
  }

  async scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]> {
    const { booleans } = this.#prepared.of(scan.table);
    const rows = this.#prepared.scan(scan).all(...rangeValues(scan));
    return rows.map((row) => storedFrom<R>(row as SqlRow, booleans));
  }

  async count(scan: Scan): Promise<number> {
    return Number((this.#prepared.count(scan).get(...rangeValues(scan)) as { count: number }).count);
  }

  async head(log: Table, partition: Key): Promise<number> {
    return this.#head(log, keyText(partition));
  }

  async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    const failed = new Map<number, readonly Conflict[]>();
    for (;;) {
      const results = this.#tryCommit(writeSets, failed);
      if (results !== undefined) return results;
    }
  }

  async claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    const { booleans, revisions } = this.#prepared.of(claim.table);
    const { set, fill = {}, guards = [], revision } = claim;
    // The rows of this process's own tables cannot change between here and the claim: both are one synchronous stretch.
    if (guards.some((guard) => !this.#holds(guard))) return null;
    const rows = this.#guarded(() =>
      this.#prepared
        .claim(claim)
        .all(...sqlValues(Object.values(set)), ...sqlValues(Object.values(fill)), revision, ...rangeValues(claim)),
    );
    const claimed = rows.map((row) => storedFrom<R>(row as SqlRow, booleans));
    for (const { row } of claimed) revisions.noteRow(row, revision);
    return claimed;
  }

  watch(): () => void {
    return () => {}; // no other process writes, so there is nothing to hear
  }

  notify(): void {}

  async backup(path: string): Promise<void> {
    // Over a connection that has begun to read: it sees the database as it is now, however much is written meanwhile. (A copy over
    // one that has not starts over at every commit of another process.)
    const reader = new DatabaseSync(this.path, { readOnly: true });
    try {
      reader.exec('BEGIN');
      reader.prepare('SELECT count(*) FROM sqlite_schema').get();
      await backupDatabase(reader, path);
    } finally {
      reader.close();
    }
  }

  async close(): Promise<void> {
    this.#statements = undefined;
    this.#db.close();
    this.#lock?.release();
  }

  get #prepared(): Statements {
    invariant(this.#statements !== undefined, 'a store is migrated before it is used, and not used after close');
    return this.#statements;
  }

  /**
   * One transaction over the write sets that have not failed. Gives up and returns undefined when one fails after it has
   * written something; that one is then in `failed` and the caller comes again. Conflicts are rare here (one process), so
   * the usual commit pays for no savepoints.
   */
  #tryCommit(writeSets: readonly WriteSet[], failed: Map<number, readonly Conflict[]>): CommitResult[] | undefined {
    const { begin, commit, rollback } = this.#prepared;
    this.#guarded(() => begin.run());
    try {
      const results: CommitResult[] = [];
      for (const [i, writeSet] of writeSets.entries()) {
        const known = failed.get(i);
        const outcome = known === undefined ? this.#apply(writeSet) : { conflicts: known, dirty: false };
        if ('conflicts' in outcome) {
          failed.set(i, outcome.conflicts);
          if (outcome.dirty) {
            rollback.run();
            this.#forget();
            return undefined;
          }
          results.push({ ok: false, conflicts: outcome.conflicts });
        } else results.push({ ok: true, ...outcome });
      }
      this.#guarded(() => commit.run());
      return results;
    } catch (error) {
      this.#forget();
      if (this.#db.isTransaction) rollback.run();
      throw error;
    }
  }

  #forget(): void {
    this.#heads.clear();
    this.#prepared.forgetRevisions();
  }

  #apply(
    writeSet: WriteSet,
  ):
    | { readonly positions: readonly number[]; readonly stamps: readonly (number | undefined)[] }
    | { readonly conflicts: readonly Conflict[]; readonly dirty: boolean } {
    for (const guard of writeSet.guards) {
      if (!this.#holds(guard)) return { conflicts: [{ table: guard.table, key: guard.key }], dirty: false };
    }
    let dirty = false;
    for (const { table, key, expected } of writeSet.deletes) {
      const statements = this.#prepared.of(table);
      statements.revisions.forget(key);
      if (expected === undefined) statements.deleteAny.run(...sqlValues(key));
      else if (statements.delete.run(...sqlValues(key), expected).changes === 0)
        return { conflicts: [{ table, key }], dirty };
      dirty = true;
    }
    // Heads are raised first so that stamps see them; entries follow once nothing can fail but inserts.
    const positions = writeSet.appends.map((append) => this.#append(append));
    dirty ||= positions.length > 0;
    const stamps: (number | undefined)[] = [];
    for (const put of writeSet.puts) {
      const stamp = put.stamp && this.#stampValue(put.stamp, positions);
      if (!this.#put(put, stamp)) return { conflicts: [{ table: put.table, key: keyOf(put.table, put.row) }], dirty };
      stamps.push(stamp);
      dirty = true;
    }
    return { positions, stamps };
  }

  #stampValue(stamp: Stamp, positions: readonly number[]): number {
    if ('append' in stamp) return positions[stamp.append] ?? 0;
    return this.#head(stamp.log, keyText(stamp.partition));
  }

  #holds({ table, key, expected }: Guard): boolean {
    const { revision, revisions } = this.#prepared.of(table);
    const known = revisions.of(key);
    if (known !== undefined) return known === expected;
    const found = revision.get(...sqlValues(key)) as { revision: number } | undefined;
    if (found !== undefined) revisions.note(key, found.revision);
    return (found?.revision ?? null) === expected;
  }

  #put({ table, row, expected, revision, stamp }: Put, stamped: number | undefined): boolean {
    const { insert, update, updatedColumns, revisions } = this.#prepared.of(table);
    const written = stamp === undefined || stamped === undefined ? row : { ...row, [stamp.column]: stamped };
    const values: SqlValue[] = [];
    const add = (names: readonly string[]) => {
      for (const name of names) values.push(sqlValue(written[name] ?? null));
    };
    if (expected === null) {
      add(table.columnNames);
      values.push(revision);
      if (!insertUnlessThere(insert, values)) return false;
    } else {
      add(updatedColumns);
      values.push(revision);
      add(table.key);
      values.push(expected);
      if (update.run(...values).changes !== 1) return false;
    }
    revisions.noteRow(row, revision);
    return true;
  }

  #append({ log, row }: Append): number {
    const { position: column } = log;
    invariant(column !== undefined, 'appends go to logs');
    const partition = keyText(log.key.slice(0, -1).map((name) => row[name] ?? null));
    const position = this.#head(log, partition) + 1;
    const values = log.columnNames.map((name) => (name === column ? position : sqlValue(row[name] ?? null)));
    this.#prepared.of(log).insert.run(...values);
    this.#prepared.raiseHead.run(log.name, partition, position);
    this.#heads.set(`${log.name} ${partition}`, position);
    return position;
  }

  #head(log: Table, partition: string): number {
    const cached = this.#heads.get(`${log.name} ${partition}`);
    if (cached !== undefined) return cached;
    const found = this.#prepared.head.get(log.name, partition) as { position: number } | undefined;
    const head = found?.position ?? 0;
    this.#heads.set(`${log.name} ${partition}`, head);
    return head;
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new StoreUnavailableError(
        `SQLite could not write ${this.path}: ${error instanceof Error ? error.message : String(error)}. Check the disk's space and permissions.`,
        error,
      );
    }
  }
}

type SqlRow = Record<string, Value> & { $revision?: number };

/** Takes the row that SQLite handed over for its own: nobody else has it. */
function storedFrom<R extends Row>(row: SqlRow, booleans: readonly string[]): Stored<R> {
  const revision = row.$revision ?? 0;
  delete row.$revision;
  for (const name of booleans) {
    const value = row[name];
    if (typeof value === 'number') row[name] = value !== 0;
  }
  return { row: row as Row as R, revision }; // the statement selects this table's columns
}

/** SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE. */
const ALREADY_THERE = new Set([1555, 2067]);

function insertUnlessThere(insert: StatementSync, values: readonly SqlValue[]): boolean {
  try {
    insert.run(...values);
    return true;
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && ALREADY_THERE.has(Number(error.errcode))) return false;
    throw error;
  }
}

function rangeValues(scan: Scan): SqlValue[] {
  const keys = [scan.prefix, scan.after, scan.from, scan.to, scan.before];
  const where = sqlValues(Object.values(scan.where ?? {}));
  return [...keys.flatMap((key) => (key === undefined ? [] : sqlValues(key))), ...where, scan.limit];
}

const sqlValues = (values: readonly Value[]): SqlValue[] => values.map(sqlValue);
const sqlValue = (value: Value): SqlValue => (typeof value === 'boolean' ? Number(value) : value);
