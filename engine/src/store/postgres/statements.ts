import type { Claim, Scan } from '../port.ts';
import type { Table } from '../table.ts';
import { Sql, type Statement, scanShape } from './sql.ts';

type ForTable = 'selectByKeys' | 'lock' | 'insert' | 'update' | 'delete';
type ForHeads = 'lockHeads' | 'insertHeads' | 'raiseHeads' | 'head';

/** The statements of a schema, each with a name of its own, so that every connection prepares it once. */
export class Statements {
  readonly #sql: Sql;
  readonly #byShape = new Map<string, Statement>();

  constructor(schema: string) {
    this.#sql = new Sql(schema);
  }

  of(kind: ForTable, table: Table): Statement {
    return this.#shaped(`${kind} ${table.name}`, () => this.#sql[kind](table));
  }

  heads(kind: ForHeads): Statement {
    return this.#shaped(kind, () => this.#sql[kind]());
  }

  scan(scan: Scan): Statement {
    return this.#shaped(`scan ${scanShape(scan)}`, () => this.#sql.scan(scan));
  }

  count(scan: Scan): Statement {
    return this.#shaped(`count ${scanShape(scan)}`, () => this.#sql.count(scan));
  }

  claim(claim: Claim): Statement {
    const shape = `${scanShape(claim)}/${Object.keys(claim.set)}/${Object.keys(claim.fill ?? {})}/${claim.increment}`;
    return this.#shaped(`claim ${shape}`, () => this.#sql.claim(claim));
  }

  #shaped(shape: string, text: () => string): Statement {
    let statement = this.#byShape.get(shape);
    if (statement === undefined) {
      statement = { name: `ironflow_${this.#byShape.size}`, text: text() };
      this.#byShape.set(shape, statement);
    }
    return statement;
  }
}
