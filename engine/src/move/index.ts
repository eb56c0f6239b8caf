// Move: all that one store holds goes into another that is empty.
//   V1. Nothing is changed in the store it comes from, and no engine may work on either.
//   V2. A target that holds anything is refused. A move that broke off leaves such a target: drop its schema and begin anew.
//   V3. It is done when every table has the same rows in both, compared by count and by a hash of all their columns.

import { createHash } from 'node:crypto';
import { IronflowError } from '@ironflow/core';
import { pages } from '../store/pages.ts';
import { emptyWriteSet, type Store, type WriteSet } from '../store/port.ts';
import { countedRevisions } from '../store/revisions.ts';
import type { Row, Table } from '../store/table.ts';
import { tables } from '../store/tables.ts';

export interface MovedTable {
  readonly table: string;
  readonly rows: number;
  /** SHA-256 over the rows in the order of their keys. */
  readonly hash: string;
}

/** @throws {IronflowError} MOVE_REFUSED when the target is not empty; MOVE_FAILED when the two differ afterwards. */
export async function moveStore(
  from: Store,
  to: Store,
  told: (table: string, rows: number) => void = () => {},
): Promise<MovedTable[]> {
  for (const table of tables) {
    if ((await to.scan({ table, limit: 1 })).length === 0) continue;
    throw new IronflowError(
      `The target already holds rows of "${table.name}". Move into an empty database, or into a schema of its own.`,
      { code: 'MOVE_REFUSED', details: { table: table.name } },
    );
  }
  const revisions = countedRevisions(0);
  const moved: MovedTable[] = [];
  for (const table of tables) {
    let rows = 0;
    for await (const page of pages(from, table)) {
      await insert(to, table, page, () => revisions.next());
      rows += page.length;
      told(table.name, rows);
    }
    const [source, target] = [await sumOf(from, table), await sumOf(to, table)];
    if (source.rows !== target.rows || source.hash !== target.hash) {
      throw new IronflowError(
        `Table "${table.name}" has ${source.rows} rows where it comes from and ${target.rows} where it went, or they differ. Nothing was changed where it comes from.`,
        { code: 'MOVE_FAILED', details: { table: table.name, source, target } },
      );
    }
    moved.push(target);
  }
  return moved;
}

async function insert(to: Store, table: Table, page: readonly Row[], revision: () => number): Promise<void> {
  const writeSet: WriteSet =
    table.position === undefined
      ? { ...emptyWriteSet, puts: page.map((row) => ({ table, row, expected: null, revision: revision() })) }
      : { ...emptyWriteSet, appends: page.map((row) => ({ log: table, row: withoutPosition(table, row) })) };
  const [result] = await to.commit([writeSet]);
  const positions = result?.ok === true ? result.positions : [];
  const { position } = table;
  if (result?.ok === true && (position === undefined || page.every((row, i) => row[position] === positions[i]))) return;
  throw new IronflowError(
    `Rows of "${table.name}" did not go where they belong: is somebody else writing into the target?`,
    { code: 'MOVE_FAILED', details: { table: table.name } },
  );
}

function withoutPosition(table: Table, row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([column]) => column !== table.position));
}

async function sumOf(store: Store, table: Table): Promise<MovedTable> {
  const hash = createHash('sha256');
  let rows = 0;
  for await (const page of pages(store, table)) {
    for (const row of page) hash.update(JSON.stringify(table.columnNames.map((column) => row[column])));
    rows += page.length;
  }
  return { table: table.name, rows, hash: hash.digest('hex') };
}
