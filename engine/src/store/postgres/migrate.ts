import { StoreNewerError } from '../errors.ts';
import type { Connection } from './connection.ts';
import type { Migration } from './migrations.ts';
import { identifier } from './sql.ts';

/**
 * Applies the migrations that the schema lacks, in one transaction under a lock: of engines that start at once, one
 * migrates and the others find it done.
 * @param place - The database, for errors.
 * @throws {StoreNewerError} when the schema has a migration that this version does not know.
 */
export async function migrate(
  connection: Connection,
  schema: string,
  migrations: readonly Migration[],
  place: string,
): Promise<void> {
  const known = migrations.at(-1)?.number ?? 0;
  const name = identifier(schema);
  const literal = `'${schema.replaceAll("'", "''")}'`;
  await connection.run('BEGIN ISOLATION LEVEL READ COMMITTED');
  try {
    await connection.run('SET LOCAL statement_timeout = 0'); // an index on a large table takes its time
    await connection.run(`SELECT pg_advisory_xact_lock(hashtext('ironflow migrations'), hashtext(${literal}))`);
    // Asked first: CREATE SCHEMA IF NOT EXISTS wants the right to create one even when it is there.
    const { rows } = await connection.run(`SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ${literal}`);
    if (rows.length === 0) await connection.run(`CREATE SCHEMA ${name}`);
    await connection.run(`SET LOCAL search_path = ${name}`);
    await connection.run(
      'CREATE TABLE IF NOT EXISTS "migrations" ("number" bigint PRIMARY KEY, "name" text NOT NULL, "applied_at" timestamptz NOT NULL DEFAULT now())',
    );
    const found = Number((await connection.run('SELECT coalesce(max("number"), 0) FROM "migrations"')).rows[0]?.[0]);
    if (found > known) throw new StoreNewerError(`${place} (schema ${schema})`, found, known);
    for (const migration of migrations) {
      if (migration.number <= found) continue;
      for (const statement of migration.sql) await connection.run(statement);
      await connection.run(
        `INSERT INTO "migrations" ("number", "name") VALUES (${migration.number}, '${migration.name.replaceAll("'", "''")}')`,
      );
    }
    await connection.run('COMMIT');
  } catch (error) {
    if (!connection.lost) await connection.run('ROLLBACK');
    throw error;
  }
}
