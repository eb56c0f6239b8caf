// Stores to measure on, each new and gone afterwards.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoreOptions } from '@ironflow/engine';
import { startPostgres } from '../engine/src/test-support/postgres.ts';

export interface BenchStore {
  readonly name: string;
  readonly options: StoreOptions;
  /** The same for `ironflow serve`. */
  readonly args: readonly string[];
  close(): Promise<void>;
}

export async function openSqlite(): Promise<BenchStore> {
  const dataDir = mkdtempSync(join(tmpdir(), 'ironflow-bench-'));
  return {
    name: 'SQLite',
    options: { dataDir },
    args: ['--data', dataDir],
    close: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
}

/** A server of its own, with its defaults: fsync and synchronous_commit are on. */
export async function openPostgres(): Promise<BenchStore> {
  const server = await startPostgres();
  const store = server.url as `postgres://${string}`;
  return { name: 'PostgreSQL', options: { store }, args: ['--store', store], close: () => server.stop() };
}
