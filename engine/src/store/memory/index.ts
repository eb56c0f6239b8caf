// The memory store: for the simulator, the test client, and as the plain model that the other adapters are compared with.

import {
  type Append,
  type Claim,
  type CommitResult,
  type Delete,
  emptyWriteSet,
  type Guard,
  type Put,
  type Scan,
  type Stamp,
  type Store,
  type Stored,
  type WriteSet,
} from '../port.ts';
import { type Index, type Key, keyOf, keyText, type Row, type Table, type Value } from '../table.ts';
import { SortedRows } from './sorted-rows.ts';

interface Entry {
  row: Row;
  revision: number;
}

class MemoryTable {
  readonly rows = new Map<string, Entry>();
  readonly #byKey = new SortedRows<Entry>();
  readonly #indexes: readonly {
    readonly index: Index;
    readonly columns: readonly string[];
    readonly rows: SortedRows<Entry>;
  }[];
  readonly #byName = new Map<string, SortedRows<Entry>>();
  readonly table: Table;

  constructor(table: Table) {
    this.table = table;
    this.#indexes = Object.entries(table.indexes).map(([name, index]) => {
      const rows = new SortedRows<Entry>();
      this.#byName.set(name, rows);
      // The key makes entries of an index distinct and their order total.
      return {
        index,
        columns: [...index.columns, ...table.key.filter((column) => !index.columns.includes(column))],
        rows,
      };
    });
  }

  index(name: string | undefined): SortedRows<Entry> {
    if (name === undefined) return this.#byKey;
    const rows = this.#byName.get(name);
    if (rows === undefined) throw new TypeError(`table ${this.table.name} has no index ${name}`);
    return rows;
  }

  insert(entry: Entry): void {
    const key = keyOf(this.table, entry.row);
    this.rows.set(keyText(key), entry);
    this.#byKey.insert(key, entry);
    this.#addToIndexes(entry);
  }

  replace(entry: Entry, row: Row, revision: number): void {
    this.#removeFromIndexes(entry);
    entry.row = row;
    entry.revision = revision;
    this.#addToIndexes(entry);
  }

  remove(key: Key): void {
    const text = keyText(key);
    const entry = this.rows.get(text);
    if (entry === undefined) return;
    this.rows.delete(text);
    this.#byKey.remove(key);
    this.#removeFromIndexes(entry);
  }

  hasUnique(row: Row): boolean {
    return this.#indexes.some(({ index, rows }) => {
      if (!index.unique) return false;
      const key = valuesOf(row, index.columns);
      return rows.lowerBound(key) !== rows.upperBound(key);
    });
  }

  #addToIndexes(entry: Entry): void {
    for (const { index, columns, rows } of this.#indexes) {
      if (holds(index, entry.row)) rows.insert(valuesOf(entry.row, columns), entry);
    }
  }

  #removeFromIndexes(entry: Entry): void {
    for (const { index, columns, rows } of this.#indexes) {
      if (holds(index, entry.row)) rows.remove(valuesOf(entry.row, columns));
    }
  }
}

const holds = (index: Index, row: Row) => index.sparse === undefined || (row[index.sparse] ?? null) !== null;
const valuesOf = (row: Row, columns: readonly string[]): Value[] => columns.map((column) => row[column] ?? null);

export class MemoryStore implements Store {
  readonly exclusive: boolean;
  readonly #tables = new Map<string, MemoryTable>();
  readonly #heads = new Map<string, number>();
  readonly #watchers = new Map<string, Set<(payload: string) => void>>();

  /** @param options.exclusive - False lets several engines share one memory store, as the simulator does. Default true. */
  constructor(options: { readonly exclusive?: boolean } = {}) {
    this.exclusive = options.exclusive ?? true;
  }

  async migrate(): Promise<void> {}

  async get<R extends Row>(table: Table<R>, keys: readonly Key[]): Promise<(Stored<R> | null)[]> {
    const { rows } = this.#table(table);
    return keys.map((key) => {
      const entry = rows.get(keyText(key));
      return entry === undefined ? null : stored<R>(entry);
    });
  }

  async scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]> {
    return this.#select(scan).map((entry) => stored<R>(entry));
  }

  async count(scan: Scan): Promise<number> {
    return this.#select(scan).length;
  }

  async head(log: Table, partition: Key): Promise<number> {
    return this.#heads.get(headKey(log, partition)) ?? 0;
  }

  async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    return writeSets.map((writeSet) => this.#apply(writeSet));
  }

  async claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    if (this.#conflicts({ ...emptyWriteSet, guards: claim.guards ?? [] }).length > 0) return null;
    const table = this.#table(claim.table);
    return this.#select(claim).map((entry) => {
      const raised = Object.fromEntries(claim.increment.map((column) => [column, Number(entry.row[column]) + 1]));
      const filled = Object.entries(claim.fill ?? {}).filter(([column]) => (entry.row[column] ?? null) === null);
      const row = { ...entry.row, ...claim.set, ...Object.fromEntries(filled), ...raised };
      table.replace(entry, row, claim.revision);
      return stored<R>(entry);
    });
  }

  watch(channel: string, listener: (payload: string) => void): () => void {
    let listeners = this.#watchers.get(channel);
    if (listeners === undefined) {
      listeners = new Set();
      this.#watchers.set(channel, listeners);
    }
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  notify(channel: string, payload: string): void {
    for (const listener of this.#watchers.get(channel) ?? []) listener(payload);
  }

  async backup(): Promise<void> {
    throw new TypeError('a memory store has nothing to back up');
  }

  async close(): Promise<void> {}

  /** Every row of every table, for comparing two stores. */
  dump(): Record<string, Stored[]> {
    const dump: Record<string, Stored[]> = {};
    for (const [name, table] of this.#tables) {
      dump[name] = this.#select({ table: table.table, limit: Number.MAX_SAFE_INTEGER }).map((entry) => stored(entry));
    }
    return dump;
  }

  #table(declared: Table): MemoryTable {
    let table = this.#tables.get(declared.name);
    if (table === undefined) {
      table = new MemoryTable(declared);
      this.#tables.set(declared.name, table);
    }
    return table;
  }

  #select(scan: Scan): Entry[] {
    const rows = this.#table(scan.table).index(scan.index);
    const prefix = scan.prefix ?? [];
    let low = prefix.length > 0 ? rows.lowerBound(prefix) : 0;
    let high = prefix.length > 0 ? rows.upperBound(prefix) : rows.size;
    if (scan.from !== undefined) low = Math.max(low, rows.lowerBound([...prefix, ...scan.from]));
    if (scan.after !== undefined) low = Math.max(low, rows.upperBound([...prefix, ...scan.after]));
    if (scan.to !== undefined) high = Math.min(high, rows.upperBound([...prefix, ...scan.to]));
    if (scan.before !== undefined) high = Math.min(high, rows.lowerBound([...prefix, ...scan.before]));
    const found: Entry[] = [];
    const backward = scan.direction === 'backward';
    const where = Object.entries(scan.where ?? {});
    for (let i = 0; i < high - low && found.length < scan.limit; i++) {
      const entry = rows.valueAt(backward ? high - 1 - i : low + i);
      if (entry === undefined || !where.every(([name, value]) => (entry.row[name] ?? null) === value)) continue;
      found.push(entry);
    }
    return found;
  }

  #apply(writeSet: WriteSet): CommitResult {
    const conflicts = this.#conflicts(writeSet);
    if (conflicts.length > 0) return { ok: false, conflicts };
    for (const { table, key } of writeSet.deletes) this.#table(table).remove(key);
    const positions = writeSet.appends.map((append) => this.#append(append));
    const stamps = writeSet.puts.map((put) => this.#put(put, positions));
    return { ok: true, positions, stamps };
  }

  #conflicts(writeSet: WriteSet): { readonly table: Table; readonly key: Key }[] {
    const conflicts: { readonly table: Table; readonly key: Key }[] = [];
    const expect = ({ table, key, expected }: Guard | Delete) => {
      if (expected === undefined) return;
      const entry = this.#table(table).rows.get(keyText(key));
      if ((entry?.revision ?? null) !== expected) conflicts.push({ table, key });
    };
    writeSet.guards.forEach(expect);
    writeSet.deletes.forEach(expect);
    const isDeleted = (table: Table, key: Key) =>
      writeSet.deletes.some((gone) => gone.table === table && keyText(gone.key) === keyText(key));
    for (const { table, row, expected } of writeSet.puts) {
      const key = keyOf(table, row);
      if (expected !== null || !isDeleted(table, key)) expect({ table, key, expected });
      if (expected === null && this.#table(table).hasUnique(row)) conflicts.push({ table, key });
    }
    return conflicts;
  }

  #stampValue(stamp: Stamp, positions: readonly number[]): number {
    if ('append' in stamp) return positions[stamp.append] ?? 0;
    return this.#heads.get(headKey(stamp.log, stamp.partition)) ?? 0;
  }

  #put({ table: declared, row, expected, revision, stamp }: Put, positions: readonly number[]): number | undefined {
    const table = this.#table(declared);
    const value = stamp === undefined ? undefined : this.#stampValue(stamp, positions);
    const stamped = stamp === undefined ? { ...row } : { ...row, [stamp.column]: value ?? 0 };
    const entry = table.rows.get(keyText(keyOf(declared, row)));
    if (expected === null || entry === undefined) table.insert({ row: stamped, revision });
    else table.replace(entry, keepImmutable(declared, entry.row, stamped), revision);
    return value;
  }

  #append({ log, row }: Append): number {
    const column = log.position;
    if (column === undefined) throw new TypeError(`table ${log.name} is not a log`);
    const partition = log.key.slice(0, -1).map((name) => row[name] ?? null);
    const head = headKey(log, partition);
    const position = (this.#heads.get(head) ?? 0) + 1;
    this.#heads.set(head, position);
    this.#table(log).insert({ row: { ...row, [column]: position }, revision: 0 });
    return position;
  }
}

function keepImmutable(table: Table, before: Row, after: Row): Row {
  const row: Record<string, Value> = { ...after };
  for (const [name, column] of Object.entries(table.columns)) {
    if (column.immutable) row[name] = before[name] ?? null;
  }
  return row;
}

function stored<R extends Row>({ row, revision }: Entry): Stored<R> {
  return { row: row as R, revision }; // rows of a table have that table's type
}

const headKey = (log: Table, partition: Key) => `${log.name} ${keyText(partition)}`;
