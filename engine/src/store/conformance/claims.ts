// What every store adapter promises of claims.

import { beforeEach, describe, expect, test } from 'vitest';
import type { Guard, Store, WriteSet } from '../port.ts';
import type { StoreHarness } from './harness.ts';
import { item, items } from './schema.ts';
import { insert, update, writeSet } from './write-sets.ts';

/** @param opened - The harness of the test that runs. */
export function describeClaims(opened: () => StoreHarness): void {
  describe('claim', () => {
    let harness: StoreHarness;
    let store: Store;
    beforeEach(() => {
      harness = opened();
      store = harness.store;
    });
    const commit = async (part: Partial<WriteSet>) => (await store.commit([writeSet(part)]))[0];

    const claim = async (owner: string, limit: number, guards: readonly Guard[] = [], revision = 20) => {
      const rows = await store.claim({
        table: items,
        index: 'byReady',
        to: [100],
        limit,
        set: { readyAt: null, owner },
        fill: { label: 'first' },
        increment: ['turn'],
        revision,
        guards,
      });
      return rows ?? 'refused';
    };
    const claimed = async (owner: string, limit: number) => {
      const rows = await claim(owner, limit);
      if (rows === 'refused') throw new Error('a claim without guards was refused');
      return rows;
    };

    test('takes nothing when a guard does not hold', async () => {
      await commit({ puts: [insert(item('x', { readyAt: 1 }), 5), insert(item('y'), 7)] });
      expect(await claim('me', 9, [{ table: items, key: ['y'], expected: 6 }])).toBe('refused');
      expect(await claim('me', 9, [{ table: items, key: ['z'], expected: 1 }])).toBe('refused');
      expect(await claim('me', 9, [{ table: items, key: ['y'], expected: 7 }])).toHaveLength(1);
    });

    test('fills columns that are null and leaves the others', async () => {
      const rows = [item('x', { readyAt: 1, label: 'own' }), item('y', { readyAt: 1 })];
      await commit({ puts: rows.map((row) => insert(row)) });
      expect((await claimed('me', 9)).map(({ row }) => [row.id, row.label]).sort()).toEqual([
        ['x', 'own'],
        ['y', 'first'],
      ]);
    });

    test('takes ready rows in order, once each, and raises their counters and gives them the revision it was told', async () => {
      const rows = [5, 1, 200, 3].map((readyAt, i) => insert(item(`i${i}`, { readyAt, turn: i }), 10));
      await commit({ puts: rows });
      const first = await claimed('me', 2);
      expect(first.map(({ row, revision }) => [row.id, row.turn, row.owner, row.readyAt, revision]).sort()).toEqual([
        ['i1', 2, 'me', null, 20],
        ['i3', 4, 'me', null, 20],
      ]);
      expect((await claimed('other', 9)).map(({ row }) => row.id)).toEqual(['i0']);
      expect(await claimed('other', 9)).toEqual([]);
      expect((await commit({ puts: [update(item('i1'), 10)] }))?.ok).toBe(false);
      expect((await commit({ puts: [update(item('i1'), 11)] }))?.ok).toBe(false);
      expect((await commit({ puts: [update(item('i1'), 20)] }))?.ok).toBe(true);
    });

    test('by several claimants at once gives no row twice', async () => {
      const others = harness.another === undefined ? [store] : [store, await harness.another()];
      await commit({ puts: Array.from({ length: 60 }, (_, i) => insert(item(`i${i}`, { readyAt: i }))) });
      const taken = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          (others[i % others.length] ?? store).claim({
            table: items,
            index: 'byReady',
            limit: 5,
            set: { readyAt: null, owner: `o${i}` },
            increment: ['turn'],
            revision: 100 + i,
          }),
        ),
      );
      const ids = taken.flatMap((rows) => rows ?? []).map(({ row }) => row.id);
      expect(new Set(ids).size).toBe(ids.length);
      const left = await claimed('rest', 99);
      expect(ids.length + left.length).toBe(60);
      for (const other of others) if (other !== store) await other.close();
    });
  });
}
