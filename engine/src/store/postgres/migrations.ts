// Numbered, forward-only. A migration is written down as it was when it was made and never changes afterwards; a test compares what
// all of them produce with the declared tables and with schema.sql. The statements find their tables by the search path.

import type { Table } from '../table.ts';
import { initialSql } from './migration-0001.ts';
import { stepsSql } from './migration-0003.ts';
import { runOperationsSql } from './migration-0004.ts';
import { beatsSql } from './migration-0005.ts';
import { runAttributesSql } from './migration-0006.ts';
import { secretsSql } from './migration-secrets.ts';
import { createHeadsSql, createTableSql } from './sql.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: readonly string[];
}

export const migrations: readonly Migration[] = [
  { number: 1, name: 'initial', sql: initialSql },
  { number: 2, name: 'secrets', sql: secretsSql },
  { number: 3, name: 'steps', sql: stepsSql },
  { number: 4, name: 'run operations', sql: runOperationsSql },
  { number: 5, name: 'heartbeats', sql: beatsSql },
  { number: 6, name: 'run attributes', sql: runAttributesSql },
];

/** One migration that makes these tables, for stores that hold others than the engine's. */
export function migrationOf(declared: readonly Table[]): Migration {
  return { number: 1, name: 'initial', sql: [createHeadsSql, ...declared.flatMap(createTableSql)] };
}
