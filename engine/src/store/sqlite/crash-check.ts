// What crash-child.ts leaves: opened again, it must be whole.

import { expect } from 'vitest';
import { entries, items, parts, schema } from '../conformance/schema.ts';
import { SqliteStore } from './index.ts';
import { migrationOf } from './migrations.ts';

/** Opens the directory, fails when half of a write set is there, and gives back the numbers of those that are there. */
export async function wholeWriteSets(directory: string): Promise<ReadonlySet<number>> {
  const store = new SqliteStore({ directory, migrations: [migrationOf(schema)] });
  try {
    await store.migrate();
    const all = { limit: 1_000_000 };
    const stored = new Set((await store.scan({ table: items, ...all })).map(({ row }) => row.id));
    const partCounts = new Map<string, number>();
    for (const { row } of await store.scan({ table: parts, ...all })) {
      partCounts.set(row.itemId, (partCounts.get(row.itemId) ?? 0) + 1);
    }
    const log = await store.scan({ table: entries, prefix: ['crash'], ...all });
    const logged = new Set(log.map(({ row }) => row.id));
    expect([...stored].filter((id) => partCounts.get(id) !== 3 || !logged.has(id))).toEqual([]);
    expect(partCounts.size).toBe(stored.size);
    expect(logged.size).toBe(stored.size);
    expect(log.map(({ row }) => row.position)).toEqual(log.map((_, i) => i + 1));
    return new Set([...stored].map(Number));
  } finally {
    await store.close();
  }
}
