import type { Key, Row, Table } from '../table.ts';

/** Rows of one table that are remembered; then it starts over, which costs a look at each row that is still in use. */
const ROWS_MAX = 20_000;

/**
 * The revisions of rows that were written or looked at lately. Only of tables with a key of one text, such as the runs: theirs are
 * what commits depend on over and over, and the text serves as it is.
 */
export class KnownRevisions {
  readonly #revisions = new Map<string, number>();
  readonly #keyColumn: string | undefined;

  constructor(table: Table) {
    const [only] = table.key;
    const isOneText = table.key.length === 1 && only !== undefined && table.columns[only]?.type === 'text';
    this.#keyColumn = isOneText ? only : undefined;
  }

  /** Undefined when it is not known; a row that is known is there. */
  of(key: Key): number | undefined {
    return this.#keyColumn === undefined ? undefined : this.#revisions.get(key[0] as string); // the column's type
  }

  note(key: Key, revision: number): void {
    if (this.#keyColumn !== undefined) this.#note(key[0] as string, revision); // the column's type
  }

  noteRow(row: Row, revision: number): void {
    if (this.#keyColumn !== undefined) this.#note(row[this.#keyColumn] as string, revision); // the column's type
  }

  forget(key: Key): void {
    if (this.#keyColumn !== undefined) this.#revisions.delete(key[0] as string); // the column's type
  }

  clear(): void {
    this.#revisions.clear();
  }

  #note(key: string, revision: number): void {
    if (this.#revisions.size >= ROWS_MAX) this.#revisions.clear();
    this.#revisions.set(key, revision);
  }
}
