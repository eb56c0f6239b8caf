import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Claim, Scan } from '../port.ts';
import type { Table } from '../table.ts';
import { KnownRevisions } from './known-revisions.ts';
import {
  claimSql,
  countSql,
  deleteSql,
  insertSql,
  scanShape,
  scanSql,
  selectByKeySql,
  selectRevisionSql,
  updatedColumns,
  updateSql,
} from './sql.ts';

/** The statements of one table, each prepared at its first use. */
export class TableStatements {
  readonly table: Table;
  readonly updatedColumns: readonly string[];
  readonly booleans: readonly string[];
  readonly revisions: KnownRevisions;
  readonly #db: DatabaseSync;
  #select?: StatementSync;
  #revision?: StatementSync;
  #insert?: StatementSync;
  #update?: StatementSync;
  #delete?: StatementSync;
  #deleteAny?: StatementSync;

  constructor(db: DatabaseSync, table: Table) {
    this.#db = db;
    this.table = table;
    this.updatedColumns = updatedColumns(table);
    this.booleans = table.columnNames.filter((name) => table.columns[name]?.type === 'boolean');
    this.revisions = new KnownRevisions(table);
  }

  get select(): StatementSync {
    this.#select ??= this.#db.prepare(selectByKeySql(this.table));
    return this.#select;
  }

  get revision(): StatementSync {
    this.#revision ??= this.#db.prepare(selectRevisionSql(this.table));
    return this.#revision;
  }

  get insert(): StatementSync {
    this.#insert ??= this.#db.prepare(insertSql(this.table));
    return this.#insert;
  }

  get update(): StatementSync {
    this.#update ??= this.#db.prepare(updateSql(this.table));
    return this.#update;
  }

  get delete(): StatementSync {
    this.#delete ??= this.#db.prepare(deleteSql(this.table, true));
    return this.#delete;
  }

  get deleteAny(): StatementSync {
    this.#deleteAny ??= this.#db.prepare(deleteSql(this.table, false));
    return this.#deleteAny;
  }
}

/** All prepared statements of a database. */
export class Statements {
  readonly #db: DatabaseSync;
  readonly #tables = new Map<string, TableStatements>();
  readonly #byShape = new Map<string, StatementSync>();
  readonly begin: StatementSync;
  readonly commit: StatementSync;
  readonly rollback: StatementSync;
  readonly head: StatementSync;
  readonly raiseHead: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.begin = db.prepare('BEGIN IMMEDIATE');
    this.commit = db.prepare('COMMIT');
    this.rollback = db.prepare('ROLLBACK');
    this.head = db.prepare('SELECT "position" FROM "log_heads" WHERE "log" = ? AND "partition" = ?');
    this.raiseHead = db.prepare(
      'INSERT INTO "log_heads" ("log", "partition", "position") VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "position" = excluded."position"',
    );
  }

  of(table: Table): TableStatements {
    let statements = this.#tables.get(table.name);
    if (statements === undefined) {
      statements = new TableStatements(this.#db, table);
      this.#tables.set(table.name, statements);
    }
    return statements;
  }

  forgetRevisions(): void {
    for (const { revisions } of this.#tables.values()) revisions.clear();
  }

  scan(scan: Scan): StatementSync {
    return this.#shaped(`scan ${scanShape(scan)}`, () => scanSql(scan));
  }

  count(scan: Scan): StatementSync {
    return this.#shaped(`count ${scanShape(scan)}`, () => countSql(scan));
  }

  claim(claim: Claim): StatementSync {
    const shape = `${scanShape(claim)}/${Object.keys(claim.set)}/${Object.keys(claim.fill ?? {})}/${claim.increment}`;
    return this.#shaped(`claim ${shape}`, () => claimSql(claim));
  }

  #shaped(shape: string, sql: () => string): StatementSync {
    let statement = this.#byShape.get(shape);
    if (statement === undefined) {
      statement = this.#db.prepare(sql());
      this.#byShape.set(shape, statement);
    }
    return statement;
  }
}
