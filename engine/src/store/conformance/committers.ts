// What every store adapter promises of several committers on the same data.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store, WriteSet } from '../port.ts';
import type { StoreHarness } from './harness.ts';
import { entries, entry, item, items } from './schema.ts';
import { insert, update, writeSet } from './write-sets.ts';

/** @param opened - The harness of the test that runs. */
export function describeCommitters(opened: () => StoreHarness): void {
  describe('several committers', () => {
    let harness: StoreHarness;
    let store: Store;
    beforeEach(() => {
      harness = opened();
      store = harness.store;
    });
    const commit = async (part: Partial<WriteSet>) => (await store.commit([writeSet(part)]))[0];

    /** Stores on the same data: committers of their own where the adapter allows it, else this one several times. */
    let committers: readonly Store[];
    beforeEach(async () => {
      committers = [store];
      for (let i = 1; i < 4; i++) committers = [...committers, (await harness.another?.()) ?? store];
    });
    afterEach(async () => {
      for (const other of new Set(committers)) if (other !== store) await other.close();
    });

    test('of one new key: one inserts it, the others are refused', async () => {
      for (let round = 0; round < 20; round++) {
        const results = await Promise.all(
          committers.map((other, o) =>
            other.commit([
              writeSet({ puts: [insert(item(`own-${round}-${o}`))] }),
              writeSet({ puts: [insert(item(`same-${round}`, { size: o })), insert(item(`with-${round}-${o}`))] }),
            ]),
          ),
        );
        expect(results.every(([own]) => own?.ok === true)).toBe(true);
        const winners = results.flatMap(([, same], o) => (same?.ok === true ? [o] : []));
        expect(winners).toHaveLength(1);
        const [same] = await store.get(items, [[`same-${round}`]]);
        expect(same?.row.size).toBe(winners[0]);
        const with_ = await store.get(
          items,
          committers.map((_, o) => [`with-${round}-${o}`]),
        );
        expect(with_.flatMap((row, o) => (row === null ? [] : [o]))).toEqual(winners);
      }
    });

    test('who each insert a row if another one is absent: never both of two', async () => {
      const [left = store, right = store] = committers;
      for (let round = 0; round < 40; round++) {
        const key = (side: string) => `${side}-${round}`;
        const unless = (absent: string, inserted: string) =>
          writeSet({
            guards: [{ table: items, key: [key(absent)], expected: null }],
            puts: [insert(item(key(inserted)))],
          });
        const results = await Promise.all([left.commit([unless('a', 'b')]), right.commit([unless('b', 'a')])]);
        const there = await store.get(items, [[key('a')], [key('b')]]);
        expect(there.filter((row) => row !== null)).toHaveLength(1);
        expect(results.filter(([result]) => result?.ok === true)).toHaveLength(1);
      }
    });

    test('who rest on a row: its writer gets through although they never pause', async () => {
      await commit({ puts: [insert(item('shared'), 1)] });
      const [writer = store, ...others] = committers;
      let writing = true;
      const resting = others.map(async (other, o) => {
        for (let i = 0; writing; i++) {
          const [shared] = await other.get(items, [['shared']]);
          const guards = [{ table: items, key: ['shared'], expected: shared?.revision ?? null }];
          await other.commit([writeSet({ guards, puts: [insert(item(`${o}-${i}`))] })]);
        }
      });
      for (let revision = 1; revision <= 20; revision++) {
        const [result] = await writer.commit([writeSet({ puts: [update(item('shared'), revision)] })]);
        expect(result?.ok).toBe(true);
      }
      writing = false;
      await Promise.all(resting);
    });

    test('of one log: below its head no entry appears later', async () => {
      let writing = true;
      const seen: string[] = [];
      const reading = (async () => {
        for (let last = 0, more = true; more; ) {
          more = writing;
          const head = await store.head(entries, ['b']);
          const page = { table: entries, prefix: ['b'], after: [last], to: [head], limit: 10_000 };
          for (const { row } of head > last ? await store.scan(page) : []) seen.push(`${row.position} ${row.id}`);
          last = head;
        }
      })();
      await Promise.all(
        committers.map(async (other, o) => {
          for (let i = 0; i < 30; i++) await other.commit([writeSet({ appends: [entry('b', `${o}-${i}`)] })]);
        }),
      );
      writing = false;
      await reading;
      const all = await store.scan({ table: entries, prefix: ['b'], limit: 10_000 });
      expect(all).toHaveLength(30 * committers.length);
      expect(seen).toEqual(all.map(({ row }) => `${row.position} ${row.id}`));
    });

    test('of one row: each revision is taken by one', async () => {
      const others =
        harness.another === undefined ? [store, store] : [store, await harness.another(), await harness.another()];
      await commit({ puts: [insert(item('x', { size: 0 }), 1)] });
      const raise = async (by: Store): Promise<number> => {
        for (let lost = 0; ; lost++) {
          const [found] = await by.get(items, [['x']]);
          if (found === null || found === undefined) throw new Error('x is gone');
          const [result] = await by.commit([
            writeSet({ puts: [update(item('x', { size: found.row.size + 1 }), found.revision)] }),
          ]);
          if (result?.ok === true) return lost;
        }
      };
      await Promise.all(others.flatMap((other) => Array.from({ length: 10 }, () => raise(other))));
      expect((await store.get(items, [['x']]))[0]?.row.size).toBe(others.length * 10);
      for (const other of new Set(others)) if (other !== store) await other.close();
    });

    test('of one log: a reader who has seen a position never finds a new entry at or below it', async () => {
      const others =
        harness.another === undefined ? [store, store] : [store, await harness.another(), await harness.another()];
      let writing = true;
      const seen: number[] = [];
      const reader = (async () => {
        let last = 0;
        const poll = async () => {
          for (const { row } of await store.scan({ table: entries, prefix: ['b'], after: [last], limit: 1_000 })) {
            seen.push(row.position);
            last = row.position;
          }
        };
        while (writing) await poll();
        await poll();
      })();
      await Promise.all(
        others.map(async (other, o) => {
          for (let i = 0; i < 50; i++) {
            // Uneven commits, so that one that took its positions first may well end last.
            const appends = Array.from({ length: 1 + ((i + o) % 4) }, (_, n) => entry('b', `${o}-${i}-${n}`));
            await other.commit([writeSet({ appends, puts: [insert(item(`${o}-${i}`))] })]);
          }
        }),
      );
      writing = false;
      await reader;
      const total = await store.count({ table: entries, prefix: ['b'], limit: 10_000 });
      expect(seen).toEqual(Array.from({ length: total }, (_, i) => i + 1));
      for (const other of new Set(others)) if (other !== store) await other.close();
    });
  });
}
