// A bare commit: a row for each step, synced, one after the other, by the driver that the engine uses and nothing around it. What a
// step in sequence (W3) cannot be faster than. Options:
//   store  sqlite (default), postgres

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { one } from '../bodies.ts';
import type { Contender, Options } from '../contender.ts';
import { openPostgres } from '../postgres.ts';
import { scratch } from '../processes.ts';

const TABLE = 'CREATE TABLE steps (run_id TEXT, step_id TEXT, output TEXT, PRIMARY KEY (run_id, step_id))';

type Commit = (runId: string, stepId: string, output: string) => Promise<unknown> | undefined;

export async function open(options: Options): Promise<Contender> {
  const { commit, info, pids, close } = await (options['store'] === 'postgres' ? onPostgres() : onSqlite());
  return {
    info: { topology: 'the client, committing a row a step', ...info },
    pids: () => ({ client: process.pid, ...pids }),
    async start(kind, n, key) {
      if (kind !== 'seq') throw new Error(`bare commits have no ${kind}`);
      const results: unknown[] = [];
      for (let i = 0; i < n; i++) {
        const result = one(i);
        await commit(key, `${key}:step:${i}`, JSON.stringify(result));
        results.push(result);
      }
      return { result: async () => results };
    },
    close,
  };
}

interface Floor extends Pick<Contender, 'close'> {
  readonly commit: Commit;
  readonly info: Pick<Contender['info'], 'durability' | 'versions'>;
  readonly pids: Readonly<Record<string, number>>;
}

async function onSqlite(): Promise<Floor> {
  const directory = scratch('commit');
  const db = new DatabaseSync(join(directory, 'bare.db'));
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${TABLE}`);
  const insert = db.prepare('INSERT INTO steps VALUES (?, ?, ?)');
  return {
    commit(...row) {
      insert.run(...row);
      return undefined;
    },
    info: { durability: 'SQLite WAL synchronous=FULL', versions: { sqlite: process.versions['sqlite'] ?? 'unknown' } },
    pids: {},
    async close() {
      db.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function onPostgres(): Promise<Floor> {
  const server = await openPostgres();
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(TABLE);
  return {
    commit: (...values) => client.query({ name: 'insert', text: 'INSERT INTO steps VALUES ($1, $2, $3)', values }),
    info: { durability: server.durability, versions: { postgres: server.version } },
    pids: { postgres: server.pid },
    async close() {
      await client.end();
      await server.stop();
    },
  };
}
