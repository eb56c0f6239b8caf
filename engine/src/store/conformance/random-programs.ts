// Random programs over the suite's tables, run on an adapter and on the memory store: equal answers, equal contents.

import fc from 'fast-check';
import { expect } from 'vitest';
import { MemoryStore } from '../memory/index.ts';
import type { Claim, Scan, Store, WriteSet } from '../port.ts';
import { entries, type Item, item, items, schema } from './schema.ts';

type Operation =
  | { readonly do: 'commit'; readonly writeSets: readonly WriteSet[] }
  | { readonly do: 'scan'; readonly scan: Scan }
  | { readonly do: 'claim'; readonly claim: Claim };

const id = fc.constantFrom('a', 'b', 'c', 'd', 'é', '');
const small = fc.integer({ min: -2, max: 3 });
const maybe = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null });
const revision = fc.integer({ min: 1, max: 4 });

const row: fc.Arbitrary<Item> = fc
  .record({
    id,
    owner: id,
    size: small,
    readyAt: maybe(small),
    label: maybe(id),
    fragile: fc.boolean(),
    body: maybe(fc.constantFrom('null', '{"a":1}')),
    origin: id,
    turn: small,
  })
  .map((overrides) => item(overrides.id, overrides));

const stamp = { column: 'turn', log: entries, partition: ['book'] };
const put = fc.record({ row, expected: maybe(revision), stamped: fc.boolean() }).map(({ row, expected, stamped }) => ({
  table: items,
  row,
  expected,
  revision: expected === null ? 1 : expected + 1,
  ...(stamped && { stamp }),
}));
const guard = fc
  .record({ id, expected: maybe(revision) })
  .map(({ id, expected }) => ({ table: items, key: [id], expected }));
const remove = fc.record({ id, expected: revision }).map(({ id, expected }) => ({ table: items, key: [id], expected }));

/** Each row at most once in a write set, as transactions make them. */
const writeSet: fc.Arbitrary<WriteSet> = fc
  .record({
    guards: fc.array(guard, { maxLength: 1 }),
    puts: fc.array(put, { maxLength: 3 }),
    deletes: fc.array(remove, { maxLength: 1 }),
    appends: fc.array(fc.constantFrom('book', 'other'), { maxLength: 2 }),
  })
  .map(({ guards, puts, deletes, appends }) => {
    const taken = new Set<string>();
    const first = (key: string) => !taken.has(key) && taken.add(key) !== undefined;
    return {
      puts: puts.filter(({ row }) => first(row.id)),
      deletes: deletes.filter(({ key }) => first(String(key[0]))),
      guards: guards.filter(({ key }) => first(String(key[0]))),
      appends: appends.map((book) => ({ log: entries, row: { book, id: '', topic: book, body: '1' } })),
    };
  });

const key = (...parts: fc.Arbitrary<string | number>[]) => fc.tuple(...parts);
const bound = (of: fc.Arbitrary<(string | number)[]>) => fc.option(of, { nil: undefined, freq: 3 });
const limit = fc.integer({ min: 1, max: 5 });
const direction = fc.constantFrom<'forward' | 'backward'>('forward', 'backward');

const where = fc.oneof(
  fc.record({ fragile: fc.boolean() }),
  fc.record({ label: maybe(id) }),
  fc.record({ origin: id, size: small }),
);

function scanOf(
  fixed: { readonly index?: string; readonly prefix?: readonly string[] },
  place: fc.Arbitrary<(string | number)[]>,
) {
  return fc
    .record({
      ...{ after: bound(place), from: bound(place), to: bound(place), before: bound(place), limit, direction },
      where: fc.option(where, { nil: undefined, freq: 3 }),
    })
    .map((bounds): Scan => {
      const given = Object.fromEntries(Object.entries(bounds).filter(([, value]) => value !== undefined));
      return { table: items, ...fixed, ...given, limit: bounds.limit };
    });
}

const scan: fc.Arbitrary<Scan> = fc.oneof(
  scanOf({}, key(id)),
  scanOf({ index: 'byOwner' }, key(id, small)),
  scanOf({ index: 'byOwner', prefix: ['a'] }, key(small, id)),
  scanOf({ index: 'byReady' }, fc.oneof(key(small), key(small, id))),
  scanOf({ index: 'byLabel', prefix: ['b'] }, key(id)),
);

const claim = fc.record({ limit, to: small, owner: id, revision }).map(
  ({ limit, to, owner, revision }): Claim => ({
    table: items,
    index: 'byReady',
    to: [to],
    limit,
    set: { readyAt: null, owner },
    fill: { body: '1' },
    increment: ['turn'],
    revision,
  }),
);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .array(writeSet, { minLength: 1, maxLength: 3 })
      .map((writeSets): Operation => ({ do: 'commit', writeSets })),
  },
  { weight: 2, arbitrary: scan.map((scan): Operation => ({ do: 'scan', scan })) },
  { weight: 1, arbitrary: claim.map((claim): Operation => ({ do: 'claim', claim })) },
);

async function answer(store: Store, operation: Operation): Promise<unknown> {
  if (operation.do === 'scan') return [await store.scan(operation.scan), await store.count(operation.scan)];
  if (operation.do === 'claim') {
    const rows = (await store.claim(operation.claim)) ?? [];
    return rows.sort((a, b) => (String(a.row['id']) < String(b.row['id']) ? -1 : 1)); // claimed rows come in no order
  }
  const results = await store.commit(operation.writeSets);
  return results.map((result) => (result.ok ? result : 'conflict')); // adapters may name any of the conflicts
}

/** Gives every appended entry an id of its own. */
function withEntryIds(program: readonly Operation[]): Operation[] {
  let next = 0;
  return program.map((operation) =>
    operation.do !== 'commit'
      ? operation
      : {
          ...operation,
          writeSets: operation.writeSets.map((writeSet) => ({
            ...writeSet,
            appends: writeSet.appends.map(({ log, row }) => ({ log, row: { ...row, id: `e${next++}` } })),
          })),
        },
  );
}

/** Runs random programs on a fresh store each and on the model, and compares every answer and the end state. */
export async function expectEqualToModel(
  open: () => Promise<{ store: Store; destroy(): Promise<void> }>,
  numRuns: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 25 }), async (program) => {
      const model = new MemoryStore();
      const { store, destroy } = await open();
      try {
        for (const operation of withEntryIds(program)) {
          expect(await answer(store, operation)).toEqual(await answer(model, operation));
        }
        for (const table of schema) {
          const all = { table, limit: 10_000 };
          expect(await store.scan(all)).toEqual(await model.scan(all));
        }
      } finally {
        await destroy();
      }
    }),
    { numRuns },
  );
}
