import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { describeStore } from '../conformance/index.ts';
import { expectEqualToModel } from '../conformance/random-programs.ts';
import { item, items, schema } from '../conformance/schema.ts';
import { insert, writeSet } from '../conformance/write-sets.ts';
import { tables } from '../tables.ts';
import { SqliteStore } from './index.ts';
import { type Migration, migrationOf } from './migrations.ts';
import { countSql, scanSql } from './sql.ts';

const migrations = [migrationOf(schema)];
const directories: string[] = [];
const directory = () => {
  const path = mkdtempSync(join(tmpdir(), 'ironflow-store-'));
  directories.push(path);
  return path;
};
afterEach(() => {
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
});

async function open(path: string): Promise<SqliteStore> {
  const store = new SqliteStore({ directory: path, migrations });
  await store.migrate();
  return store;
}

describeStore('sqlite', async () => {
  const path = directory();
  const harness = {
    store: await open(path),
    async reopen() {
      await harness.store.close();
      harness.store = await open(path);
      return harness.store;
    },
    destroy: () => harness.store.close(),
  };
  return harness;
});

test('sqlite answers random programs as the memory store does', async () => {
  await expectEqualToModel(async () => {
    const path = mkdtempSync(join(tmpdir(), 'ironflow-store-'));
    const store = await open(path);
    return {
      store,
      async destroy() {
        await store.close();
        rmSync(path, { recursive: true });
      },
    };
  }, 300);
});

test('sqlite goes by what is there after a write was rolled back, and after a claim', async () => {
  const store = await open(directory());
  await store.commit([writeSet({ puts: [insert(item('a', { readyAt: 1 }))] })]);
  const [found] = await store.get(items, [['a']]);
  const before = found?.revision ?? 0;
  const update = { table: items, row: item('a', { readyAt: 1, size: 2 }), expected: before, revision: before + 1 };
  const missing = { table: items, row: item('b'), expected: 7, revision: 8 };
  const guards = [{ table: items, key: ['a'], expected: before }];
  const results = await store.commit([writeSet({ puts: [update, missing] }), writeSet({ guards })]);
  expect(results.map(({ ok }) => ok)).toEqual([false, true]);

  const claim = {
    table: items,
    index: 'byReady',
    limit: 1,
    set: { owner: 'me' },
    increment: ['turn'],
    revision: 20,
  } as const;
  expect(await store.claim(claim)).toHaveLength(1);
  const [outdated] = await store.commit([writeSet({ guards })]);
  expect(outdated?.ok).toBe(false);
  await store.close();
});

test('sqlite refuses a data directory that another engine uses, and takes it when that one is closed', async () => {
  const path = directory();
  const first = await open(path);
  expect(() => new SqliteStore({ directory: path })).toThrow(expect.objectContaining({ code: 'STORE_LOCKED' }));
  await first.close();
  await (await open(path)).close();
});

test('sqlite refuses a database that a newer version wrote, and does not touch it', async () => {
  const path = directory();
  await (await open(path)).close();
  const db = new DatabaseSync(join(path, 'ironflow.db'));
  db.exec('PRAGMA user_version = 999');
  db.close();
  const store = new SqliteStore({ directory: path, migrations });
  await expect(store.migrate()).rejects.toMatchObject({ code: 'STORE_NEWER', details: { found: 999, known: 1 } });
  await store.close();
});

test('sqlite can be read by other programs while the engine runs', async () => {
  const path = directory();
  const store = await open(path);
  await store.commit([writeSet({ puts: [insert(item('x', { size: 3 }))] })]);
  const reader = new DatabaseSync(join(path, 'ironflow.db'), { readOnly: true });
  expect(reader.prepare('SELECT id, size FROM items').all()).toMatchObject([{ id: 'x', size: 3 }]);
  reader.close();
  await store.close();
});

test('sqlite makes a consistent copy of itself while in use', async () => {
  const path = directory();
  const store = await open(path);
  await store.commit([writeSet({ puts: [insert(item('x'))] })]);
  const copy = directory();
  await store.backup(join(copy, 'ironflow.db'));
  await store.commit([writeSet({ puts: [insert(item('y'))] })]);
  await store.close();
  const restored = await open(copy);
  expect((await restored.scan({ table: items, limit: 9 })).map(({ row }) => row.id)).toEqual(['x']);
  await restored.close();
});

test('the migrations make the declared tables, and schema.sql shows them', async () => {
  const { statements, columns, indexes } = await schemaMadeBy(undefined);
  const declared = await schemaMadeBy([migrationOf(tables)]);
  expect(columns).toEqual(declared.columns);
  expect(indexes).toEqual(declared.indexes);
  await expect(`${statements.join(';\n\n')};\n`).toMatchFileSnapshot('schema.sql');
});

test('every scan along an index is a search of it, in its order', async () => {
  const store = new SqliteStore({ directory: directory() });
  await store.migrate();
  const db = new DatabaseSync(store.path, { readOnly: true });
  const plan = (sql: string) =>
    db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => String(detail));
  for (const table of tables) {
    for (const [index, { columns }] of Object.entries({ '': { columns: table.key }, ...table.indexes })) {
      const some = (count: number) => Array.from({ length: count }, () => 0);
      for (let prefixed = 1; prefixed < columns.length; prefixed++) {
        for (const bound of ['after', 'from', 'to', 'before', undefined] as const) {
          for (const direction of ['forward', 'backward'] as const) {
            const range = { prefix: some(prefixed), ...(bound && { [bound]: some(columns.length - prefixed) }) };
            const scan = { table, ...(index !== '' && { index }), ...range, limit: 1, direction };
            for (const sql of [scanSql(scan), countSql(scan)]) {
              const lines = plan(sql);
              const searched = lines.filter((line) => line.startsWith(`SEARCH ${table.name} USING `));
              expect(searched, `${sql}: ${lines}`).toHaveLength(1);
              expect(lines.join(), sql).not.toMatch(new RegExp(`TEMP B-TREE|SCAN ${table.name}`));
            }
          }
        }
      }
    }
  }
  db.close();
  await store.close();
});

/** What migrations make: as text, and as columns and indexes, whatever the order in which a table got its columns. */
async function schemaMadeBy(migrations: readonly Migration[] | undefined) {
  const store = new SqliteStore({ directory: directory(), ...(migrations && { migrations }) });
  await store.migrate();
  const db = new DatabaseSync(store.path, { readOnly: true });
  const made = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'").all();
  const statements = made.map(({ sql }) => String(sql)).sort();
  const columns = db
    .prepare(
      `SELECT t.name AS "table", t.strict, t.wr, c.name, c.type, c."notnull", c.dflt_value, c.pk
       FROM pragma_table_list t, pragma_table_xinfo(t.name) c
       WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.name`,
    )
    .all();
  db.close();
  await store.close();
  return { statements, columns, indexes: statements.filter((sql) => /^CREATE (UNIQUE )?INDEX/.test(sql)) };
}

test('a reader looks beside the engine that has the directory, and only reads', async () => {
  const path = directory();
  const store = await open(path);
  await store.commit([writeSet({ puts: [insert(item('x'))] })]);
  const reader = new SqliteStore({ directory: path, migrations, readOnly: true });
  await reader.migrate();
  expect(await reader.scan({ table: items, limit: 9 })).toHaveLength(1);
  await expect(reader.commit([writeSet({ puts: [insert(item('y'))] })])).rejects.toThrow(/readonly/);
  await reader.close();
  await store.close();
});

test('a reader refuses a database that is yet to be migrated', async () => {
  const path = directory();
  new DatabaseSync(join(path, 'ironflow.db')).close();
  const reader = new SqliteStore({ directory: path, migrations, readOnly: true });
  await expect(reader.migrate()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await reader.close();
});

test('a backup comes to its end while commits go on without a pause', async () => {
  const path = directory();
  const store = await open(path);
  const body = JSON.stringify('x'.repeat(100_000));
  for (let i = 0; i < 200; i++) await store.commit([writeSet({ puts: [insert(item(`large-${i}`, { body }))] })]);
  let done = false;
  const writing = (async () => {
    for (let i = 0; !done; i++) {
      await store.commit([writeSet({ puts: [insert(item(`small-${i}`))] })]);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const copy = join(directory(), 'copy.db');
  const reader = new SqliteStore({ directory: path, migrations, readOnly: true });
  await reader.backup(copy);
  done = true;
  await writing;
  await reader.close();
  await store.close();
  const copied = new DatabaseSync(copy, { readOnly: true });
  expect(copied.prepare("SELECT count(*) AS n FROM items WHERE id LIKE 'large-%'").get()).toEqual({ n: 200 });
  copied.close();
});
