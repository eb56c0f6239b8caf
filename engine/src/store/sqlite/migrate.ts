import type { DatabaseSync } from 'node:sqlite';
import { StoreNewerError } from '../errors.ts';
import type { Migration } from './migrations.ts';

/**
 * Applies the migrations that the database lacks, each in a transaction of its own together with its number.
 * @throws {StoreNewerError} when the database has a migration that this version does not know.
 */
export function migrate(db: DatabaseSync, path: string, migrations: readonly Migration[]): void {
  const known = migrations.at(-1)?.number ?? 0;
  const found = (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
  if (found > known) throw new StoreNewerError(path, found, known);
  for (const { number, sql } of migrations) {
    if (number <= found) continue;
    db.exec(`BEGIN IMMEDIATE;\n${sql.join(';\n')};\nPRAGMA user_version = ${number};\nCOMMIT`);
  }
}
