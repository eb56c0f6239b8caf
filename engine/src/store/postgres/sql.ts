// SQL text from declared tables, in PostgreSQL's dialect. Values come as one array for each column, so that a statement's
// text does not depend on how many rows it is for.
//   Q1. Lookups of many keys are a LATERAL subquery for each: a nested loop over the key's index in the order of the keys,
//       whatever the planner believes of the table's size.

import type { Claim, Scan } from '../port.ts';
import type { Column, Table } from '../table.ts';
import { SQL_TYPE } from './values.ts';

export interface Statement {
  readonly name: string;
  readonly text: string;
}

export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
/** An identifier as it is, in quotes. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const quoted = (name: string): string => identifier(snakeCase(name));
const list = (names: readonly string[], alias = ''): string =>
  names.map((name) => `${alias}${quoted(name)}`).join(', ');
const typeOf = (table: Table, name: string): string => SQL_TYPE[table.columns[name]?.type ?? 'text'];
const indexName = (table: Table, index: string) => `${table.name}_${snakeCase(index)}`;

/** The statements that create a table and its indexes, in the schema of the search path. */
export function createTableSql(table: Table): string[] {
  const columns = Object.entries(table.columns).map(([name, column]) => `  ${quoted(name)} ${columnType(column)}`);
  const revision = table.position === undefined ? ['  "revision" bigint NOT NULL'] : [];
  const body = [...columns, ...revision, `  PRIMARY KEY (${list(table.key)})`].join(',\n');
  const indexes = Object.entries(table.indexes).map(([name, index]) => {
    const where = index.sparse === undefined ? '' : ` WHERE ${quoted(index.sparse)} IS NOT NULL`;
    const unique = index.unique ? 'UNIQUE ' : '';
    const order = index.columns
      .map((column) => `${quoted(column)}${nullsFirst(table, column, index.sparse)}`)
      .join(', ');
    return `CREATE ${unique}INDEX ${identifier(indexName(table, name))} ON ${quoted(table.name)} (${order})${where}`;
  });
  return [`CREATE TABLE ${quoted(table.name)} (\n${body}\n)`, ...indexes];
}

/** The table that holds the newest position of each log's partitions. */
export const createHeadsSql =
  'CREATE TABLE "log_heads" (\n  "log" text COLLATE "C" NOT NULL,\n  "partition" text COLLATE "C" NOT NULL,\n  "position" bigint NOT NULL,\n  PRIMARY KEY ("log", "partition")\n)';

function columnType({ type, nullable }: Column): string {
  const collation = SQL_TYPE[type] === 'text' ? ' COLLATE "C"' : '';
  return `${SQL_TYPE[type]}${collation}${nullable ? '' : ' NOT NULL'}`;
}

/** Null comes before all values, as in the other stores; said only where an index can hold one. */
function nullsFirst(table: Table, column: string, sparse: string | undefined, backward = false): string {
  if (table.columns[column]?.nullable !== true || column === sparse) return '';
  return backward ? ' NULLS LAST' : ' NULLS FIRST';
}

/** The columns that a row is written with: all of it and, but for logs, the revision. */
export function storedColumns(table: Table): readonly string[] {
  return table.position === undefined ? [...table.columnNames, 'revision'] : table.columnNames;
}

function updatedColumns(table: Table): string[] {
  return table.columnNames.filter((name) => table.columns[name]?.immutable === false && !table.key.includes(name));
}

/** SQL texts for tables in one schema of the database. */
export class Sql {
  readonly #schema: string;

  constructor(schema: string) {
    this.#schema = schema;
  }

  /** Parameters: an array for each column of the key. */
  selectByKeys(table: Table): string {
    const columns = list(storedColumns(table), 't.');
    return (
      `SELECT k."n", ${columns} FROM ${keysFrom(table)} ` +
      `JOIN LATERAL (SELECT * FROM ${this.#name(table)} r WHERE ${keyEquals(table, 'r')} LIMIT 1) t ON true`
    );
  }

  /**
   * Locks rows in the order of the keys and tells their revisions; null for each that is not there. One statement for rows
   * that will be written and rows that must stay as they are, so that locks are taken in one order.
   * Parameters: an array for each column of the key, then whether the row will be written.
   */
  lock(table: Table): string {
    const row = `SELECT r."revision" FROM ${this.#name(table)} r WHERE ${keyEquals(table, 'r')}`;
    return (
      `SELECT k."n", coalesce(w."revision", g."revision") FROM ${keysFrom(table, ['boolean'])} ` +
      `LEFT JOIN LATERAL (${row} AND k."k${table.key.length}" FOR UPDATE) w ON true ` +
      `LEFT JOIN LATERAL (${row} AND NOT k."k${table.key.length}" FOR SHARE) g ON true`
    );
  }

  /** Parameters: an array for each stored column. */
  insert(table: Table): string {
    const columns = storedColumns(table);
    const arrays = columns.map((name, i) => `$${i + 1}::${typeOfStored(table, name)}[]`).join(', ');
    return `INSERT INTO ${this.#name(table)} (${list(columns)}) SELECT * FROM unnest(${arrays})`;
  }

  /**
   * Updates rows that are locked. An upsert, because its way to the row is the key's index by construction; an UPDATE joined
   * with arrays would leave that to the planner. Parameters as for insert.
   */
  update(table: Table): string {
    const assignments = [...updatedColumns(table), 'revision'].map(
      (name) => `${quoted(name)} = excluded.${quoted(name)}`,
    );
    return `${this.insert(table)} ON CONFLICT (${list(table.key)}) DO UPDATE SET ${assignments.join(', ')}`;
  }

  /** Parameters: an array for each column of the key. */
  delete(table: Table): string {
    const [only] = table.key;
    if (only !== undefined && table.key.length === 1)
      return `DELETE FROM ${this.#name(table)} WHERE ${quoted(only)} = ANY($1::${typeOf(table, only)}[])`;
    return `DELETE FROM ${this.#name(table)} r USING ${keysFrom(table)} WHERE ${keyEquals(table, 'r')}`;
  }

  /** Parameters: arrays of logs and partitions. */
  lockHeads(): string {
    return (
      'SELECT k."n", h."position" FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k("log", "partition", "n") ' +
      `LEFT JOIN LATERAL (SELECT r."position" FROM ${this.#heads} r WHERE r."log" = k."log" AND r."partition" = k."partition" FOR UPDATE) h ON true`
    );
  }

  /** Parameters: arrays of logs, partitions and positions. */
  insertHeads(): string {
    return `INSERT INTO ${this.#heads} ("log", "partition", "position") SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])`;
  }

  raiseHeads(): string {
    return `${this.insertHeads()} ON CONFLICT ("log", "partition") DO UPDATE SET "position" = excluded."position"`;
  }

  head(): string {
    return `SELECT "position" FROM ${this.#heads} WHERE "log" = $1::text AND "partition" = $2::text`;
  }

  /** Parameters: prefix, then the bounds in the order after, from, to, before, then the values of `where`, then the limit. */
  scan(scan: Scan): string {
    return `SELECT ${list(storedColumns(scan.table))} ${this.#range(scan, 1)}`;
  }

  count(scan: Scan): string {
    return `SELECT count(*) FROM (SELECT 1 ${this.#range(scan, 1)}) AS found`;
  }

  /** Parameters: the values of `set`, those of `fill`, the revision, then those of the range. */
  claim(claim: Claim): string {
    const { table } = claim;
    const set = Object.keys(claim.set);
    const fill = Object.keys(claim.fill ?? {});
    const value = (name: string, i: number) => `$${i + 1}::${typeOf(table, name)}`;
    const assignments = [
      ...set.map((name, i) => `${quoted(name)} = ${value(name, i)}`),
      ...fill.map((name, i) => `${quoted(name)} = coalesce(r.${quoted(name)}, ${value(name, set.length + i)})`),
      ...claim.increment.map((name) => `${quoted(name)} = r.${quoted(name)} + 1`),
      `"revision" = $${set.length + fill.length + 1}::bigint`,
    ];
    const range = this.#range(claim, set.length + fill.length + 2);
    const match = table.key.map((name) => `r.${quoted(name)} = picked.${quoted(name)}`).join(' AND ');
    // MATERIALIZED: rows are picked once, whatever the join does.
    return (
      `WITH picked AS MATERIALIZED (SELECT ${list(table.key)} ${range} FOR UPDATE SKIP LOCKED) ` +
      `UPDATE ${this.#name(table)} r SET ${assignments.join(', ')} FROM picked WHERE ${match} RETURNING ${list(storedColumns(table), 'r.')}`
    );
  }

  get #heads(): string {
    return `${identifier(this.#schema)}."log_heads"`;
  }

  #name(table: Table): string {
    return `${identifier(this.#schema)}.${quoted(table.name)}`;
  }

  #range(scan: Scan, firstParameter: number): string {
    const { table } = scan;
    const { columns, sparse } = orderOf(scan);
    let parameter = firstParameter;
    const place = (name: string) => `$${parameter++}::${typeOf(table, name)}`;
    const prefix = scan.prefix ?? [];
    const rest = columns.slice(prefix.length);
    const conditions = columns.slice(0, prefix.length).map((name) => `${quoted(name)} = ${place(name)}`);
    // Rows are compared as rows, which is one range of the index.
    const bound = (operator: string, key: readonly unknown[] | undefined) => {
      if (key === undefined) return;
      const names = rest.slice(0, key.length);
      conditions.push(`(${list(names)}) ${operator} (${names.map(place).join(', ')})`);
    };
    bound('>', scan.after);
    bound('>=', scan.from);
    bound('<=', scan.to);
    bound('<', scan.before);
    // Says to the planner that the partial index serves.
    if (sparse !== undefined) conditions.push(`${quoted(sparse)} IS NOT NULL`);
    for (const name of Object.keys(scan.where ?? {}))
      conditions.push(`${quoted(name)} IS NOT DISTINCT FROM ${place(name)}`);
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    const backward = scan.direction === 'backward';
    const order = rest
      .map((name) => `${quoted(name)}${backward ? ' DESC' : ''}${nullsFirst(table, name, sparse, backward)}`)
      .join(', ');
    return `FROM ${this.#name(table)}${where}${order === '' ? '' : ` ORDER BY ${order}`} LIMIT $${parameter}::bigint`;
  }
}

function orderOf(scan: Scan): { readonly columns: readonly string[]; readonly sparse: string | undefined } {
  if (scan.index === undefined) return { columns: scan.table.key, sparse: undefined };
  const index = scan.table.indexes[scan.index];
  if (index === undefined) throw new TypeError(`table ${scan.table.name} has no index ${scan.index}`);
  return index;
}

/** Equal for scans that differ in values only, so that each form is prepared once. */
export function scanShape(scan: Scan): string {
  const size = (key: readonly unknown[] | undefined) => key?.length ?? '';
  return `${scan.table.name}/${scan.index ?? ''}/${size(scan.prefix)}/${size(scan.after)}/${size(scan.from)}/${size(scan.to)}/${size(scan.before)}/${Object.keys(scan.where ?? {})}/${scan.direction ?? ''}`;
}

/** The given keys as a table "k" with columns k0, k1, … and the 1-based place "n" of each. */
function keysFrom(table: Table, moreTypes: readonly string[] = []): string {
  const types = [...table.key.map((name) => typeOf(table, name)), ...moreTypes];
  const arrays = types.map((type, i) => `$${i + 1}::${type}[]`).join(', ');
  const names = types.map((_, i) => `"k${i}"`).join(', ');
  return `unnest(${arrays}) WITH ORDINALITY AS k(${names}, "n")`;
}

function keyEquals(table: Table, alias: string): string {
  return table.key.map((name, i) => `${alias}.${quoted(name)} = k."k${i}"`).join(' AND ');
}

const typeOfStored = (table: Table, name: string): string =>
  name === 'revision' && table.position === undefined ? 'bigint' : typeOf(table, name);
