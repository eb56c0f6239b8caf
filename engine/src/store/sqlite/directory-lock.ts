import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreLockedError } from '../errors.ts';

/**
 * Keeps a data directory for one engine: an exclusive transaction on a small SQLite file, held for the engine's life. The
 * operating system ends it with the process, however that ends, so no stale lock is ever left; the database itself stays
 * open to readers such as the sqlite3 shell.
 * @throws {StoreLockedError} when another engine holds it.
 */
export function lockDirectory(directory: string): { release(): void } {
  const lock = new DatabaseSync(join(directory, 'ironflow.lock'));
  try {
    lock.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    throw new StoreLockedError(directory, error);
  }
  return {
    release() {
      lock.exec('ROLLBACK');
      lock.close();
    },
  };
}
