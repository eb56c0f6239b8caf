import type { Store } from './port.ts';
import type { Key, Row, Table } from './table.ts';

const PAGE = 200;

/** All rows of a table in the order of its key, a page at a time. */
export async function* pages<R extends Row>(store: Store, table: Table<R>, prefix: Key = []): AsyncGenerator<R[]> {
  for (let after: Key | undefined; ; ) {
    const page = await store.scan({ table, prefix, ...(after && { after }), limit: PAGE });
    if (page.length > 0) yield page.map(({ row }) => row);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = table.key.slice(prefix.length).map((column) => last.row[column] ?? null);
  }
}
