import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../test-support/postgres.ts';
import { entries, items, parts, schema as tables } from '../conformance/schema.ts';
import { openPostgresStore } from './index.ts';
import { migrationOf } from './migrations.ts';

const child = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

/**
 * Runs the child until it has acknowledged `count` write sets, ends it or its connections in the midst of what it does, and
 * returns all that it acknowledged.
 */
function commitUntil(schema: string, from: number, count: number, end: 'kill' | 'disconnect'): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, ['--conditions=ironflow-source', child, server.url, schema, `${from}`], {
      stdio: ['ignore', 'pipe', 'ignore'], // disconnected, it ends with the error that it should end with
    });
    // Each is over before this resolves: the next store's connections bear the same name.
    const disconnecting: Promise<void>[] = [];
    let text = '';
    process_.stdout.on('data', (chunk) => {
      text += chunk;
      if (text.split('\n').length <= count) return;
      if (end === 'kill') process_.kill('SIGKILL');
      // Again with every batch: a connection that is lost between two commits is replaced without a word.
      else disconnecting.push(disconnect());
    });
    process_.once('error', reject);
    // 'close' comes after the pipe is empty: what was written before the end has arrived.
    process_.once('close', () =>
      Promise.all(disconnecting).then(() => resolve(text.split('\n').slice(0, -1).map(Number)), reject),
    );
  });
}

async function disconnect(): Promise<void> {
  await server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ironflow'");
}

test.each(['kill', 'disconnect'] as const)(
  'an engine that ends at any moment (%s) leaves every acknowledged write set whole, and no half of another',
  async (end) => {
    const schema = server.freshSchema();
    let from = 0;
    for (const count of [1, 2, 7, 40, 3, 150, 11, 25]) {
      const acknowledged = await commitUntil(schema, from, count, end);
      expect(acknowledged.length).toBeGreaterThanOrEqual(count);
      const store = openPostgresStore({ url: server.url, schema, migrations: [migrationOf(tables)] });
      await store.migrate();
      const all = { limit: 1_000_000 };
      const stored = new Set((await store.scan({ table: items, ...all })).map(({ row }) => row.id));
      const partCounts = new Map<string, number>();
      for (const { row } of await store.scan({ table: parts, ...all })) {
        partCounts.set(row.itemId, (partCounts.get(row.itemId) ?? 0) + 1);
      }
      const log = await store.scan({ table: entries, prefix: ['crash'], ...all });
      const logged = new Set(log.map(({ row }) => row.id));
      await store.close();

      expect(acknowledged.filter((number) => !stored.has(`${number}`))).toEqual([]);
      expect([...stored].filter((id) => partCounts.get(id) !== 3 || !logged.has(id))).toEqual([]);
      expect(partCounts.size).toBe(stored.size);
      expect(logged.size).toBe(stored.size);
      expect(log.map(({ row }) => row.position)).toEqual(log.map((_, i) => i + 1));
      from = Math.max(...[...stored].map(Number)) + 1;
    }
  },
  120_000,
);
