// What every store adapter promises, as tests. An adapter's own test file calls `describeStore` with a way to open it.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { emptyWriteSet, type Store, type WriteSet } from '../port.ts';
import { describeClaims } from './claims.ts';
import { describeCommitters } from './committers.ts';
import type { StoreHarness } from './harness.ts';
import { entries, entry, type Item, item, items, parts } from './schema.ts';
import { insert, update, writeSet } from './write-sets.ts';

export function describeStore(name: string, open: () => Promise<StoreHarness>): void {
  describe(`store ${name}`, () => {
    let harness: StoreHarness;
    let store: Store;

    beforeEach(async () => {
      harness = await open();
      store = harness.store;
    });
    afterEach(() => harness.destroy());

    const idsOf = async (scan: Promise<readonly { readonly row: Item }[]>) => (await scan).map(({ row }) => row.id);
    const commit = async (part: Partial<WriteSet>) => (await store.commit([writeSet(part)]))[0];

    describe('get', () => {
      test('gives rows in the order of the keys, with every column as it was written', async () => {
        const row = item('x', {
          readyAt: 0,
          label: 'ü\u0000"',
          fragile: true,
          body: '{"deep":[1,null]}',
          size: 2 ** 52 + 1,
        });
        await commit({ puts: [insert(row, 7), insert(item('y'), 8)] });
        expect(await store.get(items, [['y'], ['none'], ['x']])).toEqual([
          { row: item('y'), revision: 8 },
          null,
          { row, revision: 7 },
        ]);
      });

      test('finds rows by a key of several columns', async () => {
        const row = { itemId: 'x', number: 2, note: 'n' };
        await commit({ puts: [{ table: parts, row, expected: null, revision: 1 }] });
        expect(
          await store.get(parts, [
            ['x', 1],
            ['x', 2],
          ]),
        ).toEqual([null, { row, revision: 1 }]);
      });
    });

    describe('commit', () => {
      test('refuses an insert over a row that is there, and leaves it', async () => {
        await commit({ puts: [insert(item('x', { size: 1 }), 5)] });
        const result = await commit({ puts: [insert(item('x', { size: 2 }), 6)] });
        expect(result).toEqual({ ok: false, conflicts: [{ table: items, key: ['x'] }] });
        expect((await store.get(items, [['x']]))[0]).toEqual({ row: item('x', { size: 1 }), revision: 5 });
      });

      test('updates at the expected revision only', async () => {
        await commit({ puts: [insert(item('x'), 5)] });
        expect((await commit({ puts: [update(item('x', { size: 2 }), 4)] }))?.ok).toBe(false);
        expect((await commit({ puts: [update(item('x', { size: 3 }), 5)] }))?.ok).toBe(true);
        expect((await commit({ puts: [update(item('none'), 1)] }))?.ok).toBe(false);
        expect((await store.get(items, [['x']]))[0]).toEqual({ row: item('x', { size: 3 }), revision: 6 });
      });

      test('keeps immutable columns as they were inserted', async () => {
        await commit({ puts: [insert(item('x', { origin: 'first' }), 1)] });
        await commit({ puts: [update(item('x', { origin: 'second', size: 9 }), 1)] });
        expect((await store.get(items, [['x']]))[0]?.row).toEqual(item('x', { origin: 'first', size: 9 }));
      });

      test('deletes at the expected revision only, or whatever is there when none is given', async () => {
        await commit({ puts: [insert(item('x'), 5), insert(item('y'), 1)] });
        expect((await commit({ deletes: [{ table: items, key: ['x'], expected: 6 }] }))?.ok).toBe(false);
        expect((await commit({ deletes: [{ table: items, key: ['x'], expected: 5 }] }))?.ok).toBe(true);
        expect((await commit({ deletes: [{ table: items, key: ['y'], expected: undefined }] }))?.ok).toBe(true);
        expect(await store.get(items, [['x'], ['y']])).toEqual([null, null]);
      });

      test('deletes a row and inserts it anew in one write set, immutable columns included', async () => {
        await commit({ puts: [insert(item('x', { origin: 'first', size: 1 }), 5)] });
        const anew = {
          deletes: [{ table: items, key: ['x'], expected: 5 }],
          puts: [insert(item('x', { origin: 'second' }), 9)],
        };
        expect((await commit(anew))?.ok).toBe(true);
        expect((await store.get(items, [['x']]))[0]).toEqual({ row: item('x', { origin: 'second' }), revision: 9 });
        expect((await commit(anew))?.ok).toBe(false);
      });

      test('checks guards on rows that it does not write, present or absent', async () => {
        await commit({ puts: [insert(item('x'), 5)] });
        const guarded = (expected: number | null, key: string) =>
          commit({ guards: [{ table: items, key: [key], expected }], puts: [insert(item(`for-${key}-${expected}`))] });
        expect((await guarded(5, 'x'))?.ok).toBe(true);
        expect((await guarded(4, 'x'))?.ok).toBe(false);
        expect((await guarded(null, 'x'))?.ok).toBe(false);
        expect((await guarded(null, 'absent'))?.ok).toBe(true);
        expect(await idsOf(store.scan({ table: items, limit: 9 }))).toEqual(['for-absent-null', 'for-x-5', 'x']);
      });

      test('a write set that fails is undone whole and fails alone', async () => {
        await commit({ puts: [insert(item('x'), 1), insert(item('y'), 1)] });
        const results = await store.commit([
          writeSet({ puts: [insert(item('before'))], appends: [entry('b', 'e1')] }),
          // Everything but the last write of this one would succeed.
          writeSet({
            deletes: [{ table: items, key: ['x'], expected: 1 }],
            appends: [entry('b', 'lost')],
            puts: [insert(item('half')), update(item('y', { size: 5 }), 1), insert(item('before'))],
          }),
          writeSet({ puts: [insert(item('after'))], appends: [entry('b', 'e2')] }),
        ]);
        expect(results.map(({ ok }) => ok)).toEqual([true, false, true]);
        expect(results[0]).toMatchObject({ positions: [1] });
        expect(results[2]).toMatchObject({ positions: [2] });
        expect(await idsOf(store.scan({ table: items, limit: 9 }))).toEqual(['after', 'before', 'x', 'y']);
        expect((await store.get(items, [['y']]))[0]).toEqual({ row: item('y'), revision: 1 });
      });

      test('a later write set of the same call sees what an earlier one wrote', async () => {
        const results = await store.commit([
          writeSet({ puts: [insert(item('x', { size: 1 }), 1)] }),
          writeSet({ puts: [update(item('x', { size: 2 }), 1)] }),
          writeSet({ guards: [{ table: items, key: ['x'], expected: 2 }], puts: [insert(item('y'))] }),
          writeSet({ puts: [update(item('x', { size: 3 }), 1)] }),
        ]);
        expect(results.map(({ ok }) => ok)).toEqual([true, true, true, false]);
        expect((await store.get(items, [['x']]))[0]).toEqual({ row: item('x', { size: 2 }), revision: 2 });
      });

      test('does nothing for nothing', async () => {
        expect(await store.commit([])).toEqual([]);
        expect(await store.commit([emptyWriteSet])).toEqual([{ ok: true, positions: [], stamps: [] }]);
      });
    });

    describe('scan', () => {
      beforeEach(async () => {
        const rows = [
          item('1', { owner: 'a', size: 3, readyAt: 30 }),
          item('2', { owner: 'a', size: 1 }),
          item('3', { owner: 'b', size: 2, readyAt: 10 }),
          item('4', { owner: 'a', size: 2, readyAt: 30, label: 'l' }),
          item('5', { owner: 'ab', size: 9, readyAt: 20 }),
        ];
        await commit({ puts: rows.map((row) => insert(row)) });
      });

      test('goes by key, in order, up to the limit', async () => {
        expect(await idsOf(store.scan({ table: items, limit: 3 }))).toEqual(['1', '2', '3']);
        expect(await idsOf(store.scan({ table: items, limit: 2, direction: 'backward' }))).toEqual(['5', '4']);
      });

      test('goes by an index, within a prefix', async () => {
        const byOwner = { table: items, index: 'byOwner', prefix: ['a'], limit: 9 };
        expect(await idsOf(store.scan(byOwner))).toEqual(['2', '4', '1']);
        expect(await idsOf(store.scan({ ...byOwner, direction: 'backward' }))).toEqual(['1', '4', '2']);
        expect(await idsOf(store.scan({ ...byOwner, prefix: ['a', 2] }))).toEqual(['4']);
      });

      test('keeps rows out of a sparse index while its column is null', async () => {
        const byReady = { table: items, index: 'byReady', limit: 9 };
        expect(await idsOf(store.scan(byReady))).toEqual(['3', '5', '1', '4']);
        await commit({
          puts: [
            update(item('3', { owner: 'b', size: 2, readyAt: null }), 1),
            update(item('2', { size: 1, readyAt: 5 }), 1),
          ],
        });
        expect(await idsOf(store.scan(byReady))).toEqual(['2', '5', '1', '4']);
      });

      test('keeps within bounds, compared over several columns', async () => {
        const byReady = { table: items, index: 'byReady', limit: 9 };
        expect(await idsOf(store.scan({ ...byReady, to: [20] }))).toEqual(['3', '5']);
        expect(await idsOf(store.scan({ ...byReady, before: [20] }))).toEqual(['3']);
        expect(await idsOf(store.scan({ ...byReady, from: [20] }))).toEqual(['5', '1', '4']);
        expect(await idsOf(store.scan({ ...byReady, after: [20] }))).toEqual(['1', '4']);
        expect(await idsOf(store.scan({ ...byReady, after: [30, '1'] }))).toEqual(['4']);
        expect(await idsOf(store.scan({ ...byReady, after: [10], before: [30, '4'] }))).toEqual(['5', '1']);
        expect(
          await idsOf(store.scan({ table: items, index: 'byOwner', prefix: ['a'], after: [1, '2'], limit: 1 })),
        ).toEqual(['4']);
      });

      test('orders text by code point', async () => {
        const ids = ['Z', 'a', 'é', '\u{1f600}', '\uffee', 'aa', 'B'];
        await commit({ puts: ids.map((id) => insert(item(id, { owner: 'text' }))) });
        const found = await idsOf(store.scan({ table: items, index: 'byOwner', prefix: ['text'], limit: 9 }));
        expect(found).toEqual(['B', 'Z', 'a', 'aa', 'é', '\uffee', '\u{1f600}']);
      });

      test('orders text with control characters, NUL among them, and gives it back', async () => {
        const ids = [
          '\u0001',
          'n\u0002',
          'n',
          '\u0000',
          'n\u0001\u0002',
          'n\u0000',
          'n\u0001',
          'n\u0000\u0001',
          'n\u0001\u0001',
        ];
        await commit({ puts: ids.map((id) => insert(item(id, { owner: 'control' }))) });
        const found = await idsOf(store.scan({ table: items, index: 'byOwner', prefix: ['control'], limit: 99 }));
        expect(found).toEqual(ids.sort());
        expect(await store.get(items, [['n\u0000\u0001']])).toMatchObject([{ row: { id: 'n\u0000\u0001' } }]);
      });

      test('counts a range, no further than the limit', async () => {
        expect(await store.count({ table: items, index: 'byOwner', prefix: ['a'], limit: 9 })).toBe(3);
        expect(await store.count({ table: items, index: 'byOwner', prefix: ['a'], limit: 2 })).toBe(2);
        expect(await store.count({ table: items, index: 'byReady', after: [10], limit: 99 })).toBe(3);
      });
    });

    describe('logs', () => {
      test('number each partition from 1, without gaps, and tell the positions', async () => {
        const results = await store.commit([
          writeSet({ appends: [entry('b', '1'), entry('c', '2'), entry('b', '3')] }),
          writeSet({ appends: [entry('b', '4')] }),
        ]);
        expect(results.map((result) => (result.ok ? result.positions : []))).toEqual([[1, 1, 2], [3]]);
        expect(await store.head(entries, ['b'])).toBe(3);
        expect(await store.head(entries, ['c'])).toBe(1);
        expect(await store.head(entries, ['none'])).toBe(0);
      });

      test('are read from a position, and by their indexes', async () => {
        await commit({ appends: ['1', '2', '3', '4'].map((id) => entry('b', id, Number(id) % 2 ? 'odd' : 'even')) });
        const read = await store.scan({ table: entries, prefix: ['b'], after: [2], limit: 9 });
        expect(read.map(({ row }) => row)).toEqual([
          { book: 'b', position: 3, id: '3', topic: 'odd', body: '{}' },
          { book: 'b', position: 4, id: '4', topic: 'even', body: '{}' },
        ]);
        const odd = await store.scan({ table: entries, index: 'byTopic', prefix: ['b', 'odd'], after: [1], limit: 9 });
        expect(odd.map(({ row }) => row.id)).toEqual(['3']);
        expect((await store.scan({ table: entries, index: 'byId', prefix: ['2'], limit: 1 }))[0]?.row.position).toBe(2);
      });

      test('stamp rows with their head, as of the very commit', async () => {
        await commit({ appends: [entry('b', '1')] });
        const stamp = { column: 'turn', log: entries, partition: ['b'] };
        const put = { ...insert(item('x')), stamp };
        const result = await commit({ appends: [entry('b', '2')], puts: [put, insert(item('y'))] });
        expect(result).toEqual({ ok: true, positions: [2], stamps: [2, undefined] });
        expect((await store.get(items, [['x']]))[0]?.row.turn).toBe(2);
        expect(await commit({ puts: [{ ...insert(item('z')), stamp }] })).toEqual({
          ok: true,
          positions: [],
          stamps: [2],
        });
      });

      test('stamp rows with the positions of the commit’s own appends', async () => {
        const put = (id: string, append: number) => ({ ...insert(item(id)), stamp: { column: 'turn', append } });
        const appends = [entry('b', '1'), entry('c', '2'), entry('b', '3')];
        const result = await commit({ appends, puts: [put('x', 2), put('y', 1), put('z', 0)] });
        expect(result).toEqual({ ok: true, positions: [1, 1, 2], stamps: [2, 1, 1] });
        const rows = await store.get(items, [['x'], ['y'], ['z']]);
        expect(rows.map((found) => found?.row.turn)).toEqual([2, 1, 1]);
      });

      test('let entries be trimmed without giving their positions out again', async () => {
        await commit({ appends: [entry('b', '1'), entry('b', '2')] });
        await commit({
          deletes: [1, 2].map((position) => ({ table: entries, key: ['b', position], expected: undefined })),
        });
        expect(await commit({ appends: [entry('b', '3')] })).toMatchObject({ positions: [3] });
      });
    });

    describeClaims(() => harness);
    describeCommitters(() => harness);

    test('what was committed is there after the store is opened again', async () => {
      if (harness.reopen === undefined) return;
      await commit({ puts: [insert(item('x', { size: 4 }), 9)], appends: [entry('b', '1')] });
      store = await harness.reopen();
      expect((await store.get(items, [['x']]))[0]).toEqual({ row: item('x', { size: 4 }), revision: 9 });
      expect(await commit({ appends: [entry('b', '2')] })).toMatchObject({ positions: [2] });
    });
  });
}
