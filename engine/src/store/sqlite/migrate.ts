import type { DatabaseSync } from 'node:sqlite';
import { StoreNewerError, StoreUnavailableError } from '../errors.ts';
import type { Migration } from './migrations.ts';

/**
 * Applies the migrations that the database lacks, each in a transaction of its own together with its number.
 * @throws {StoreNewerError} when the database has a migration that this version does not know.
 */
export function migrate(db: DatabaseSync, path: string, migrations: readonly Migration[]): void {
  const found = versionOf(db, path, migrations);
  for (const { number, sql } of migrations) {
    if (number <= found) continue;
    db.exec(`BEGIN IMMEDIATE;\n${sql.join(';\n')};\nPRAGMA user_version = ${number};\nCOMMIT`);
  }
}

/**
 * For readers, which do not migrate.
 * @throws {StoreNewerError} as above; {StoreUnavailableError} when an engine of this version has yet to migrate the database.
 */
export function assertMigrated(db: DatabaseSync, path: string, migrations: readonly Migration[]): void {
  const found = versionOf(db, path, migrations);
  const known = migrations.at(-1)?.number ?? 0;
  if (found < known) {
    throw new StoreUnavailableError(
      `The database at ${path} has schema version ${found}, and this program needs ${known}. Start an engine of this version on it once.`,
    );
  }
}

function versionOf(db: DatabaseSync, path: string, migrations: readonly Migration[]): number {
  const known = migrations.at(-1)?.number ?? 0;
  const found = (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
  if (found > known) throw new StoreNewerError(path, found, known);
  return found;
}
