// Two databases of one kind, of which one can be filled by SQL while no engine has it open.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { openPostgres } from './peers/postgres.ts';
import type { BenchStore } from './stores.ts';

export interface Fillable {
  readonly store: BenchStore;
  all(sql: string): Promise<Record<string, unknown>[]>;
  exec(sql: string): Promise<void>;
  /** SQL: a number as 16 digits. */
  digits(number: string): string;
  /** After the last of it. */
  finish(): Promise<void>;
  bytes(): Promise<number>;
}

interface Databases {
  readonly full: Fillable;
  readonly empty: Fillable;
  close(): Promise<void>;
}

export async function openFillableSqlite(): Promise<Databases> {
  const directories = ['full', 'empty'].map((name) => mkdtempSync(join(tmpdir(), `ironflow-${name}-`)));
  const [full = '', empty = ''] = directories;
  return {
    full: sqlite(full),
    empty: sqlite(empty),
    async close() {
      for (const directory of directories) rmSync(directory, { recursive: true, force: true });
    },
  };
}

function sqlite(dataDir: string): Fillable {
  const file = join(dataDir, 'ironflow.db');
  let opened: DatabaseSync | undefined;
  const db = () => {
    if (opened === undefined) {
      opened = new DatabaseSync(file);
      opened.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN');
    }
    return opened;
  };
  return {
    store: { name: 'SQLite', options: { dataDir }, args: [], close: async () => {} },
    all: async (sql) => db().prepare(sql).all(),
    exec: async (sql) => db().exec(sql),
    digits: (number) => `printf('%016d', ${number})`,
    async finish() {
      db().exec('COMMIT');
      db().close();
    },
    bytes: async () => statSync(file).size,
  };
}

/** Two schemas of one server, so that both have the same of it. */
export async function openFillablePostgres(): Promise<Databases> {
  const server = await openPostgres();
  const clients: pg.Client[] = [];
  const schema = async (name: string): Promise<Fillable> => {
    const client = new pg.Client({ connectionString: server.url, options: `-c search_path=${name}` });
    await client.connect();
    clients.push(client);
    return {
      store: {
        name: 'PostgreSQL',
        options: { store: `${server.url}?schema=${name}` as `postgres://${string}` },
        args: [],
        close: async () => {},
      },
      all: async (sql) => (await client.query(sql)).rows,
      exec: async (sql) => void (await client.query(sql)),
      digits: (number) => `lpad((${number})::text, 16, '0')`,
      // What autovacuum and the next checkpoint would do within minutes, so that neither comes while it is measured.
      finish: async () => void (await client.query('VACUUM ANALYZE').then(() => client.query('CHECKPOINT'))),
      bytes: async () =>
        Number(
          (
            await client.query(
              `SELECT sum(pg_total_relation_size(c.oid)) AS bytes FROM pg_class c WHERE relnamespace = '${name}'::regnamespace AND relkind = 'r'`,
            )
          ).rows[0].bytes,
        ),
    };
  };
  return {
    full: await schema('full_one'),
    empty: await schema('empty_one'),
    async close() {
      for (const client of clients) await client.end();
      await server.stop();
    },
  };
}
