// Numbered, forward-only. The first one is the schema as declared when it was made; a test compares the schema that all of
// them produce with the declared tables and with schema.sql.

import type { Table } from '../table.ts';
import { tables } from '../tables.ts';
import { createHeadsSql, createTableSql } from './sql.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: readonly string[];
}

export const migrations: readonly Migration[] = [initialMigration(tables)];

/** A first migration that makes these tables. */
export function initialMigration(declared: readonly Table[]): Migration {
  return { number: 1, name: 'initial', sql: [createHeadsSql, ...declared.flatMap(createTableSql)] };
}
