// What planted bugs do to write sets.

import type { Put, Store, WriteSet } from '../../src/store/port.ts';
import { type Key, keyOf, type Row, type Table } from '../../src/store/table.ts';

export const appendsTo = (writeSet: WriteSet, log: Table) => writeSet.appends.some((append) => append.log === log);

export const without =
  (table: Table) =>
  (writeSet: WriteSet): WriteSet => ({ ...writeSet, puts: writeSet.puts.filter((put) => put.table !== table) });

export const merged = (writeSet: WriteSet, put: Put): WriteSet =>
  writeSet.puts.some(({ table, row }) => table === put.table && row['id'] === put.row['id'])
    ? writeSet
    : { ...writeSet, puts: [...writeSet.puts, put] };

/** The write set with its revisions of these tables made to fit, whatever is stored. */
export async function forced(
  writeSet: WriteSet,
  store: Pick<Store, 'get'>,
  tables: readonly Table[],
): Promise<WriteSet> {
  return {
    ...writeSet,
    guards: writeSet.guards.filter(({ table }) => !tables.includes(table)),
    puts: await Promise.all(writeSet.puts.map((put) => (tables.includes(put.table) ? forcedPut(put, store) : put))),
  };
}

export async function forcedPut(put: Put, store: Pick<Store, 'get'>): Promise<Put> {
  return { ...put, expected: await revisionNow(put.table, keyOf(put.table, put.row), store) };
}

/** Whether all that a write set expects is so. */
export async function holds({ guards, puts, deletes }: WriteSet, store: Pick<Store, 'get'>): Promise<boolean> {
  const expected = [
    ...[...guards, ...deletes].filter((one) => one.expected !== undefined),
    ...puts.map(({ table, row, expected }) => ({ table, key: keyOf(table, row), expected })),
  ];
  for (const one of expected) {
    if ((await revisionNow(one.table, one.key, store)) !== one.expected) return false;
  }
  return true;
}

async function revisionNow(table: Table<Row>, key: Key, store: Pick<Store, 'get'>): Promise<number | null> {
  const [stored] = await store.get(table, [key]);
  return stored?.revision ?? null;
}
