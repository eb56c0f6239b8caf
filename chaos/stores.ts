// The stores that chaos is let loose on.

import { join } from 'node:path';
import { openDoctor, type StoreOptions } from '../engine/src/main.ts';
import { startPostgres } from '../engine/src/test-support/postgres.ts';

export interface ChaosStore {
  /** How many engines work on it. */
  readonly engines: number;
  /** What they are started with. */
  readonly args: readonly string[];
  /** Kills the database and brings it back. */
  readonly kill?: () => Promise<void>;
  /** What the doctor finds, in a line each. */
  examine(): Promise<readonly string[]>;
  close(): Promise<void>;
}

export async function openStores(name: string, directory: string): Promise<ChaosStore> {
  switch (name) {
    case 'sqlite': {
      const dataDir = join(directory, 'data');
      return {
        engines: 1,
        args: ['--data', dataDir],
        examine: () => findings({ dataDir }),
        close: async () => {},
      };
    }
    case 'postgres': {
      const server = await startPostgres();
      const store = server.url as `postgres://${string}`;
      return {
        engines: 3,
        args: ['--store', store],
        kill: () => server.crash(),
        examine: () => findings({ store }),
        close: () => server.stop(),
      };
    }
    default:
      throw new Error(`There is no store "${name}". There are: sqlite, postgres.`);
  }
}

async function findings(options: StoreOptions): Promise<string[]> {
  const doctor = await openDoctor({ ...options, repair: true });
  try {
    return (await doctor.examine()).map(({ check, rows, message }) => `${check} ${rows.join(', ')}: ${message}`);
  } finally {
    await doctor.close();
  }
}
