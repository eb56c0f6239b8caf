// A PostgreSQL of a contender's own, with durable settings, the same for all.

import { startPostgres } from '../../engine/src/test-support/postgres.ts';

/** What a server in service has and one for tests does without. */
const SETTINGS = {
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  shared_buffers: '256MB',
  max_connections: '200',
  autovacuum: 'on',
};

export interface BenchPostgres {
  readonly url: string;
  readonly pid: number;
  readonly version: string;
  readonly durability: string;
  query(text: string): Promise<Record<string, unknown>[]>;
  maintain(): Promise<void>;
  stop(): Promise<void>;
}

/** @param synchronousCommit - `off` shows what durability costs. */
export async function openPostgres(synchronousCommit = 'on'): Promise<BenchPostgres> {
  const server = await startPostgres({ ...SETTINGS, synchronous_commit: synchronousCommit });
  const show = async (name: string) => String(Object.values((await server.query(`SHOW ${name}`))[0] ?? {})[0]);
  await server.query('CREATE DATABASE bench');
  const url = server.url.replace(/\/postgres$/, '/bench');
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return {
    url,
    pid: server.pid,
    version: (await show('server_version')).split(' ')[0] ?? '',
    durability: `PostgreSQL fsync=${await show('fsync')} synchronous_commit=${await show('synchronous_commit')} wal_sync_method=${await show('wal_sync_method')}`,
    query: async (text) => (await client.query(text)).rows,
    maintain: async () => void (await client.query('VACUUM ANALYZE')),
    async stop() {
      await client.end();
      await server.stop();
    },
  };
}
