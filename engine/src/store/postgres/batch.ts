// Decides a batch: which write sets hold, and what the tables look like when those are applied in order. No I/O: the rows'
// revisions and the logs' heads are told to it once they are locked.
//   B1. A write set sees what those before it in the batch wrote; one that fails leaves nothing.
//   B2. What several write sets do to one row becomes one change: the row as the last of them leaves it.

import { invariant } from '@ironflow/core';
import type { CommitResult, Put, Stamp, WriteSet } from '../port.ts';
import { type Key, keyOf, keyText, type Row, type Table, type Value } from '../table.ts';

/** A row that a batch has to do with. */
export interface Slot {
  readonly table: Table;
  readonly key: Key;
  readonly text: string;
  /** Whether some write set wants to write it; otherwise it must only stay as it is. */
  isWritten: boolean;
  /** As found in the database; null when it is not there. */
  found: number | null;
  /** As the write sets applied so far leave it. */
  revision: number | null;
  /** Set when it was written. */
  row: Row | undefined;
  /** The row is all new: it was inserted here, so its immutable columns are written too. */
  isNew: boolean;
  /** A write set that holds rests on this row's absence. */
  absenceMatters: boolean;
}

export interface Head {
  readonly log: Table;
  readonly partition: Key;
  readonly text: string;
  /** Null when the partition has no entry yet. */
  found: number | null;
  position: number;
}

/** What is to be done to one table, keys in order. */
export interface Changes {
  readonly table: Table;
  readonly deletes: readonly Key[];
  /** Rows with their revision. */
  readonly inserts: readonly Written[];
  readonly updates: readonly Written[];
  /** Keys that must stay absent until the commit. They are among the inserts, with rows to be deleted again at its end. */
  readonly reserved: readonly Key[];
}

export interface Written {
  readonly row: Row;
  readonly revision: number;
}

interface LogChanges {
  readonly deletes: Map<string, Key>;
  readonly appended: Map<string, Row>;
}

type Conflict = { readonly table: Table; readonly key: Key };

/** By the bytes of their names: one order for all engines, so that nobody waits in a circle. */
const byText = (a: { readonly text: string }, b: { readonly text: string }) =>
  a.text < b.text ? -1 : a.text > b.text ? 1 : 0;

export class Batch {
  readonly #writeSets: readonly WriteSet[];
  readonly #slots = new Map<Table, Map<string, Slot>>();
  readonly #heads = new Map<string, Head>();
  readonly #logs = new Map<Table, LogChanges>();

  constructor(writeSets: readonly WriteSet[]) {
    this.#writeSets = writeSets;
    for (const { guards, puts, deletes, appends } of writeSets) {
      for (const { table, key } of guards) this.#addSlot(table, key, false);
      for (const { table, key } of deletes) if (table.position === undefined) this.#addSlot(table, key, true);
      for (const { table, row, stamp } of puts) {
        this.#addSlot(table, keyOf(table, row), true);
        if (stamp !== undefined && 'log' in stamp) this.#addHead(stamp.log, stamp.partition);
      }
      for (const { log, row } of appends) this.#addHead(log, partitionOf(log, row));
    }
  }

  /** Nothing to look at and nothing to do. */
  get isEmpty(): boolean {
    return (
      this.#slots.size === 0 && this.#heads.size === 0 && this.#writeSets.every(({ deletes }) => deletes.length === 0)
    );
  }

  /** The rows to lock, tables and rows in the order in which everybody locks them. */
  slots(): { readonly table: Table; readonly slots: readonly Slot[] }[] {
    return [...this.#slots]
      .map(([table, slots]) => ({ table, slots: [...slots.values()].sort(byText) }))
      .sort((a, b) => (a.table.name < b.table.name ? -1 : 1));
  }

  heads(): Head[] {
    return [...this.#heads.values()].sort((a, b) =>
      a.log === b.log ? byText(a, b) : a.log.name < b.log.name ? -1 : 1,
    );
  }

  decide(): CommitResult[] {
    return this.#writeSets.map((writeSet) => this.#apply(writeSet));
  }

  changes(): Changes[] {
    const changes = this.slots().map(({ table, slots }) => changesOf(table, slots));
    for (const [table, { deletes, appended }] of this.#logs) {
      changes.push({
        table,
        deletes: [...deletes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, key]) => key),
        inserts: [...appended.values()].map((row) => ({ row, revision: 0 })),
        updates: [],
        reserved: [],
      });
    }
    return changes.sort((a, b) => (a.table.name < b.table.name ? -1 : 1));
  }

  #addSlot(table: Table, key: Key, isWritten: boolean): void {
    invariant(table.position === undefined, `entries of a log have no revision (${table.name})`);
    let slots = this.#slots.get(table);
    if (slots === undefined) {
      slots = new Map();
      this.#slots.set(table, slots);
    }
    const text = keyText(key);
    const slot = slots.get(text);
    if (slot !== undefined) slot.isWritten ||= isWritten;
    else {
      const fresh = { found: null, revision: null, row: undefined, isNew: false, absenceMatters: false };
      slots.set(text, { table, key, text, isWritten, ...fresh });
    }
  }

  #slot(table: Table, key: Key): Slot {
    const slot = this.#slots.get(table)?.get(keyText(key));
    invariant(slot !== undefined, 'a batch knows its rows');
    return slot;
  }

  #addHead(log: Table, partition: Key): void {
    const text = keyText(partition);
    const name = `${log.name} ${text}`;
    if (!this.#heads.has(name)) this.#heads.set(name, { log, partition, text, found: null, position: 0 });
  }

  #head(log: Table, partition: Key): Head {
    const head = this.#heads.get(`${log.name} ${keyText(partition)}`);
    invariant(head !== undefined, 'a batch knows its logs');
    return head;
  }

  #log(table: Table): LogChanges {
    let log = this.#logs.get(table);
    if (log === undefined) {
      log = { deletes: new Map(), appended: new Map() };
      this.#logs.set(table, log);
    }
    return log;
  }

  #apply(writeSet: WriteSet): CommitResult {
    const conflicts = this.#conflicts(writeSet);
    if (conflicts.length > 0) return { ok: false, conflicts };
    for (const { table, key, expected } of writeSet.guards) {
      if (expected === null) this.#slot(table, key).absenceMatters = true;
    }
    for (const { table, key } of writeSet.deletes) this.#delete(table, key);
    const positions = writeSet.appends.map(({ log, row }) => this.#append(log, row));
    const stamps = writeSet.puts.map((put) => this.#put(put, positions));
    return { ok: true, positions, stamps };
  }

  #conflicts({ guards, puts, deletes }: WriteSet): Conflict[] {
    const conflicts: Conflict[] = [];
    const expect = (table: Table, key: Key, expected: number | null) => {
      if (this.#slot(table, key).revision !== expected) conflicts.push({ table, key });
    };
    for (const { table, key, expected } of guards) expect(table, key, expected);
    for (const { table, key, expected } of deletes) if (expected !== undefined) expect(table, key, expected);
    const deleted = new Set(deletes.map(({ table, key }) => `${table.name} ${keyText(key)}`));
    for (const { table, row, expected } of puts) {
      const key = keyOf(table, row);
      const isReplaced = expected === null && deleted.has(`${table.name} ${keyText(key)}`);
      if (!isReplaced) expect(table, key, expected);
    }
    return conflicts;
  }

  #delete(table: Table, key: Key): void {
    if (table.position !== undefined) {
      const log = this.#log(table);
      const text = keyText(key);
      if (!log.appended.delete(text)) log.deletes.set(text, key);
      return;
    }
    const slot = this.#slot(table, key);
    if (slot.revision === null) return;
    if (slot.found === null) slot.absenceMatters = true; // it was inserted by this batch, on that condition
    slot.revision = null;
    slot.row = undefined;
    slot.isNew = false;
  }

  #stampValue(stamp: Stamp, positions: readonly number[]): number {
    return 'append' in stamp ? (positions[stamp.append] ?? 0) : this.#head(stamp.log, stamp.partition).position;
  }

  #put({ table, row, revision, stamp }: Put, positions: readonly number[]): number | undefined {
    const slot = this.#slot(table, keyOf(table, row));
    const value = stamp && this.#stampValue(stamp, positions);
    const stamped = stamp === undefined || value === undefined ? row : { ...row, [stamp.column]: value };
    if (slot.revision === null) slot.isNew = true;
    slot.row = slot.isNew && slot.row !== undefined ? keepImmutable(table, slot.row, stamped) : stamped;
    slot.revision = revision;
    return value;
  }

  #append(log: Table, row: Row): number {
    const { position: column } = log;
    invariant(column !== undefined, 'appends go to logs');
    const head = this.#head(log, partitionOf(log, row));
    head.position++;
    const entry = { ...row, [column]: head.position };
    this.#log(log).appended.set(keyText(keyOf(log, entry)), entry);
    return head.position;
  }
}

function changesOf(table: Table, slots: readonly Slot[]): Changes {
  const deletes: Key[] = [];
  const inserts: Written[] = [];
  const updates: Written[] = [];
  const reserved: Key[] = [];
  for (const { key, found, revision, row, isNew, absenceMatters } of slots) {
    if (found !== null && (revision === null || isNew)) deletes.push(key);
    if (found === null && revision === null && absenceMatters) {
      reserved.push(key);
      inserts.push({ row: reservation(table, key), revision: 0 });
    }
    if (revision !== null && row !== undefined) (isNew ? inserts : updates).push({ row, revision });
  }
  return { table, deletes, inserts, updates, reserved };
}

/** A row that nobody will see: it holds its key against inserts by others until the commit. */
function reservation(table: Table, key: Key): Row {
  const row: Record<string, Value> = {};
  const blank = { text: `reserved ${keyText(key)}`, json: 'null', integer: 0, real: 0, boolean: false };
  for (const [name, { type, nullable }] of Object.entries(table.columns)) row[name] = nullable ? null : blank[type];
  for (const [i, name] of table.key.entries()) row[name] = key[i] ?? null;
  return row;
}

function keepImmutable(table: Table, before: Row, after: Row): Row {
  const row: Record<string, Value> = { ...after };
  for (const [name, column] of Object.entries(table.columns)) {
    if (column.immutable) row[name] = before[name] ?? null;
  }
  return row;
}

function partitionOf(log: Table, row: Row): Key {
  return log.key.slice(0, -1).map((name) => row[name] ?? null);
}
