import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../test-support/postgres.ts';
import { describeStore } from '../conformance/index.ts';
import { expectEqualToModel } from '../conformance/random-programs.ts';
import { entries, item, items, schema as tables } from '../conformance/schema.ts';
import { insert, writeSet } from '../conformance/write-sets.ts';
import { table, text } from '../table.ts';
import { tables as engineTables } from '../tables.ts';
import { PLAN_SETTINGS } from './connection.ts';
import { openPostgresStore, type PostgresStore } from './index.ts';
import { type Migration, migrationOf } from './migrations.ts';
import { Sql, snakeCase } from './sql.ts';

const migrations = [migrationOf(tables)];
let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

async function open(schema: string): Promise<PostgresStore> {
  const store = openPostgresStore({ url: server.url, schema, migrations });
  await store.migrate();
  return store;
}

describeStore('postgres', async () => {
  const schema = server.freshSchema();
  const harness = {
    store: await open(schema),
    another: () => open(schema),
    async reopen() {
      await harness.store.close();
      harness.store = await open(schema);
      return harness.store;
    },
    async destroy() {
      await harness.store.close();
      await server.dropSchema(schema);
    },
  };
  return harness;
});

test('postgres answers random programs as the memory store does', async () => {
  const schema = server.freshSchema();
  const store = await open(schema);
  // One schema, emptied between programs: making tables takes longer than a program.
  const destroy = async () => {
    for (const name of ['log_heads', ...tables.map((table) => table.name)])
      await server.query(`DELETE FROM "${schema}"."${name}"`);
  };
  await expectEqualToModel(async () => ({ store, destroy }), 300);
  await store.close();
});

describe('round trips', () => {
  const rowsOf = (count: number, name: string) =>
    Array.from({ length: count }, (_, i) =>
      writeSet({
        guards: [{ table: items, key: [`absent-${name}-${i}`], expected: null }],
        puts: [insert(item(`${name}-${i}`))],
        appends: [{ log: entries, row: { book: 'b', id: `${name}-${i}`, topic: 't', body: '{}' } }],
      }),
    );

  test('a commit costs two, however many write sets it has and whether all of them hold', async () => {
    const store = await open(server.freshSchema());
    const cost = async (work: () => Promise<unknown>) => {
      const before = store.stats.flushes;
      await work();
      return store.stats.flushes - before;
    };
    expect(await cost(() => store.commit([]))).toBe(0);
    expect(await cost(() => store.commit(rowsOf(1, 'a')))).toBe(2);
    expect(await cost(() => store.commit(rowsOf(10, 'b')))).toBe(2);
    expect(await cost(() => store.commit(rowsOf(500, 'c')))).toBe(2);
    expect(await cost(() => store.commit([...rowsOf(5, 'c'), ...rowsOf(5, 'd')]))).toBe(2);
    expect(await cost(() => store.commit(rowsOf(3, 'd')))).toBe(2);
    expect(store.stats.retries).toBe(0);
    await store.close();
  });
});

describe('several engines', () => {
  test('that start at once migrate once', async () => {
    const schema = server.freshSchema();
    const stores = await Promise.all(Array.from({ length: 4 }, () => open(schema)));
    expect(await server.query(`SELECT number, name FROM "${schema}".migrations`)).toEqual([
      { number: '1', name: 'initial' },
    ]);
    await Promise.all(stores.map((store) => store.close()));
  });

  test('refuse a schema that a newer version wrote', async () => {
    const schema = server.freshSchema();
    await (await open(schema)).close();
    await server.query(`INSERT INTO "${schema}".migrations (number, name) VALUES (999, 'later')`);
    const store = openPostgresStore({ url: server.url, schema, migrations });
    await expect(store.migrate()).rejects.toMatchObject({ code: 'STORE_NEWER', details: { found: 999, known: 1 } });
    await store.close();
  });

  test('hear each other, and not themselves or other schemas', async () => {
    const schema = server.freshSchema();
    const [one, two, elsewhere] = [await open(schema), await open(schema), await open(server.freshSchema())];
    const heard: string[] = [];
    const long = 'x'.repeat(8_000);
    const arrived = new Promise<void>((resolve) => {
      two.watch('runs', (payload) => {
        heard.push(payload);
        if (payload === 'last') resolve();
      });
    });
    one.watch('runs', (payload) => heard.push(`one heard ${payload}`));
    elsewhere.watch('runs', (payload) => heard.push(`elsewhere heard ${payload}`));
    // LISTEN is on its way: two hears its own first notification of nobody, so ask the server.
    await untilListening(3);
    for (const payload of ['é', 'é', long]) one.notify('runs', payload);
    one.notify('other', 'nobody listens');
    one.notify('runs', 'last');
    await arrived;
    expect(heard).toEqual(['é', '', 'last']);
    await Promise.all([one.close(), two.close(), elsewhere.close()]);
  });

  test('listen again after their connection was lost, and look once', async () => {
    const store = await open(server.freshSchema());
    const heard: string[] = [];
    const looked = Promise.withResolvers<void>();
    store.watch('runs', (payload) => {
      heard.push(payload);
      looked.resolve();
    });
    await untilListening(1);
    await disconnect();
    await looked.promise;
    expect(heard).toEqual(['']);
    await store.close();
  });

  test('do without connections that were lost', async () => {
    const store = await open(server.freshSchema());
    await store.commit([writeSet({ puts: [insert(item('x'))] })]);
    await store.scan({ table: items, limit: 9 });
    for (let i = 0; i < 5; i++) {
      await disconnect();
      expect((await store.get(items, [['x']]))[0]?.row.id).toBe('x');
      const [result] = await store.commit([writeSet({ puts: [insert(item(`x${i}`))] })]);
      expect(result?.ok).toBe(true);
      expect(await store.claim({ table: items, limit: 1, set: {}, increment: ['turn'], revision: 2 })).toHaveLength(1);
    }
    await store.close();
  });

  test('fail clearly when there is no server', async () => {
    const store = openPostgresStore({ url: 'postgres://me:secret@127.0.0.1:1/db', reconnectMs: 50 });
    const failure = await store.migrate().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'UNAVAILABLE' });
    expect(String(failure)).toContain('127.0.0.1:1/db');
    expect(String(failure)).not.toContain('secret');
    await store.close();
  });

  /** Ends all connections of stores. */
  async function disconnect(): Promise<void> {
    await server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ironflow'");
  }

  async function untilListening(count: number): Promise<void> {
    const listening = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ironflow' AND query LIKE 'LISTEN %'";
    while ((await server.query(listening)).length < count);
  }
});

describe('positions', () => {
  test('of a plain sequence appear below what a reader has seen; a log of the store waits instead', async () => {
    const [one, two] = [new pg.Client(server.url), new pg.Client(server.url)];
    await Promise.all([one.connect(), two.connect()]);
    await server.query('CREATE TABLE plain (position bigserial PRIMARY KEY)');
    const seen = async () =>
      (await server.query('SELECT position FROM plain ORDER BY 1')).map(({ position }) => position);
    await one.query('BEGIN; INSERT INTO plain DEFAULT VALUES');
    await two.query('INSERT INTO plain DEFAULT VALUES');
    expect(await seen()).toEqual(['2']);
    await one.query('COMMIT');
    expect(await seen()).toEqual(['1', '2']);

    const schema = server.freshSchema();
    const store = await open(schema);
    const append = (id: string) => ({ log: entries, row: { book: 'b', id, topic: 't', body: '{}' } });
    await store.commit([writeSet({ appends: [append('1')] })]);
    await one.query(`BEGIN; SELECT * FROM "${schema}".log_heads FOR UPDATE`);
    let done = false;
    const committed = store.commit([writeSet({ appends: [append('2')] })]).finally(() => {
      done = true;
    });
    const waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ironflow' AND wait_event_type = 'Lock'";
    while ((await server.query(waiting)).length === 0);
    expect(done).toBe(false);
    await one.query('COMMIT');
    expect(await committed).toMatchObject([{ positions: [2] }]);
    await Promise.all([one.end(), two.end(), store.close()]);
  });
});

describe('plans', () => {
  test.each(['not analyzed', 'analyzed'])(
    'every statement takes the index it is for, in tables that were %s',
    async (state) => {
      const schema = server.freshSchema();
      const store = openPostgresStore({ url: server.url, schema });
      await store.migrate();
      const client = new pg.Client(server.url);
      await client.connect();
      for (const setting of PLAN_SETTINGS) await client.query(setting);
      // As in life: many rows share the first columns of a key, few share the last.
      for (const table of engineTables) {
        const unique = [
          table.key.at(-1),
          ...Object.values(table.indexes).flatMap((index) => (index.unique ? index.columns : [])),
        ];
        const values = Object.entries(table.columns).map(([name, { type }]) => {
          const number = unique.includes(name) ? 'g' : '(g % 20)';
          return { text: `'v' || ${number}`, json: "'{}'", integer: number, real: number, boolean: 'false' }[type];
        });
        const revision = table.position === undefined ? ', 1' : '';
        const names = [...table.columnNames.map(snakeCase), ...(revision === '' ? [] : ['revision'])];
        await client.query(
          `INSERT INTO "${schema}"."${table.name}" (${names.map((name) => `"${name}"`)}) SELECT ${values.join(', ')}${revision} FROM generate_series(1, 3000) g`,
        );
        if (state === 'analyzed') await client.query(`ANALYZE "${schema}"."${table.name}"`);
      }
      const sql = new Sql(schema);
      let statements = 0;
      const plan = async (text: string) => {
        const types = [...text.matchAll(/\$(\d+)::([a-z ]+(?:\[\])?)/g)];
        const count = Math.max(0, ...types.map(([, number]) => Number(number)));
        await client.query(`PREPARE s${++statements} AS ${text}`);
        const nulls = Array.from({ length: count }, () => 'NULL').join(', ');
        const { rows } = await client.query(
          `EXPLAIN (COSTS OFF) EXECUTE s${statements}${count > 0 ? `(${nulls})` : ''}`,
        );
        return rows.map((row) => row['QUERY PLAN']).join('\n');
      };
      for (const table of engineTables) {
        const key = `${table.name}_pkey`;
        // Without statistics another index that begins with the same columns may look as good, and is then short enough.
        const byKey = state === 'analyzed' ? `Index (Only )?Scan using ${key} ` : 'Index (Only )?Scan using ';
        const lookups = [sql.selectByKeys(table), sql.delete(table)];
        if (table.position === undefined) lookups.push(sql.lock(table));
        for (const lookup of lookups) {
          const text = await plan(lookup);
          expect(text).toMatch(new RegExp(`${byKey}[^\\n]*\\n\\s+Index Cond`));
          expect(text).not.toMatch(/Sort|Seq Scan|Hash|Merge/);
        }
        for (const [name, index] of Object.entries(table.indexes)) {
          const indexName = `${table.name}_${snakeCase(name)}`;
          for (let prefixed = 0; prefixed < index.columns.length; prefixed++) {
            for (const bound of ['after', 'from', 'to', 'before', undefined] as const) {
              for (const direction of ['forward', 'backward'] as const) {
                const some = (count: number) => Array.from({ length: count }, () => 0);
                const scan = {
                  table,
                  index: name,
                  prefix: some(prefixed),
                  limit: 1,
                  direction,
                  ...(bound && { [bound]: some(index.columns.length - prefixed) }),
                };
                const text = await plan(sql.scan(scan));
                if (prefixed > 0 || bound) expect(text).toMatch(/Index Cond/);
                expect(text).not.toMatch(/Sort|Seq Scan/);
                if (state === 'analyzed') expect(text).not.toMatch(/Filter/);
                if (state === 'analyzed' && prefixed > 0)
                  expect(text).toMatch(new RegExp(`using ${indexName} |using ${key} `));
              }
            }
          }
        }
      }
      await client.end();
      await store.close();
    },
  );
});

test('the schema that the migrations produce is the declared one, and the committed one', async () => {
  const made = await schemaMadeBy(undefined);
  // A table gets the columns of a later migration at its end.
  const lines = (text: string) => text.replaceAll(/,$/gm, '').split('\n').sort();
  expect(lines(made)).toEqual(lines(await schemaMadeBy([migrationOf(engineTables)])));
  await expect(
    `-- What the migrations produce. Written by postgres.test.ts (vitest -u); not executed.\n\n${made}`,
  ).toMatchFileSnapshot('./schema.sql');
});

async function schemaMadeBy(migrations: readonly Migration[] | undefined): Promise<string> {
  const schema = server.freshSchema();
  const store = openPostgresStore({ url: server.url, schema, migrations });
  await store.migrate();
  const columns = await server.query(
    `SELECT table_name, string_agg(format('  %I %s%s%s', column_name, data_type, coalesce(' COLLATE "' || collation_name || '"', ''),
       CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END), E',\\n' ORDER BY ordinal_position) AS columns
     FROM information_schema.columns WHERE table_schema = $1 GROUP BY 1 ORDER BY 1`,
    [schema],
  );
  const indexes = await server.query(
    'SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY tablename, indexname',
    [schema],
  );
  await store.close();
  const texts = columns.map(({ table_name, columns }) => {
    const own = indexes.filter(({ tablename }) => tablename === table_name).map(({ indexdef }) => `${indexdef};`);
    return `CREATE TABLE ${table_name} (\n${columns}\n);\n${own.join('\n').replaceAll(`${schema}.`, '')}\n`;
  });
  return texts.join('\n');
}

test('a write set whose unique value is taken under another key is refused alone', async () => {
  const names = table({
    name: 'names',
    columns: { id: text(), name: text() },
    key: ['id'],
    indexes: { byName: { columns: ['name'], unique: true } },
  });
  const store = openPostgresStore({
    url: server.url,
    schema: server.freshSchema(),
    migrations: [migrationOf([names])],
  });
  await store.migrate();
  const put = (id: string, name: string) => ({ table: names, row: { id, name }, expected: null, revision: 1 });
  const results = await store.commit([
    writeSet({ puts: [put('1', 'ada')] }),
    writeSet({ puts: [put('2', 'ada')] }),
    writeSet({ puts: [put('3', 'bob')] }),
  ]);
  expect(results.map(({ ok }) => ok)).toEqual([true, false, true]);
  expect((await store.scan({ table: names, limit: 9 })).map(({ row }) => row.id)).toEqual(['1', '3']);
  await store.close();
});
