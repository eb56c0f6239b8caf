// Commits write sets until it is killed, and says of each, once it is durable, its number. Started by crash.test.ts.

import { writeSync } from 'node:fs';
import { entries, item, items, parts, schema as tables } from '../conformance/schema.ts';
import { writeSet } from '../conformance/write-sets.ts';
import { openPostgresStore } from './index.ts';
import { migrationOf } from './migrations.ts';

const [url = '', schema = '', from = '0'] = process.argv.slice(2);
const store = openPostgresStore({ url, schema, migrations: [migrationOf(tables)] });
await store.migrate();

for (let number = Number(from); ; ) {
  // Batches of uneven size, each write set over several tables and a log.
  const batch = Array.from({ length: 1 + (number % 5) }, () => number++);
  await store.commit(
    batch.map((set) =>
      writeSet({
        puts: [
          { table: items, row: item(`${set}`, { size: set }), expected: null, revision: 1 },
          ...[1, 2, 3].map((part) => ({
            table: parts,
            row: { itemId: `${set}`, number: part, note: 'x'.repeat(200) },
            expected: null,
            revision: 1,
          })),
        ],
        appends: [{ log: entries, row: { book: 'crash', id: `${set}`, topic: 't', body: '{}' } }],
      }),
    ),
  );
  writeSync(1, `${batch.join('\n')}\n`);
}
