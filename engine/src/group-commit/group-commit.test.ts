import { beforeEach, describe, expect, test } from 'vitest';
import { createIds } from '../ports/ids.ts';
import { VirtualClock } from '../ports/virtual-clock.ts';
import { type Item, item, items } from '../store/conformance/schema.ts';
import { insert, writeSet } from '../store/conformance/write-sets.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Store } from '../store/port.ts';
import { type Command, GroupCommit } from './index.ts';

/** Adds a letter to x's owner. */
const addLetter =
  (letter: string, seen: (x: Item | null) => unknown = () => {}): Command<void> =>
  async (tx) => {
    const x = await tx.get(items, ['x']);
    await seen(x);
    if (x !== null) tx.update(items, { ...x, owner: x.owner + letter });
  };
const lettersOf = async (store: Store) => [...((await store.get(items, [['x']]))[0]?.row.owner ?? '')].sort().join('');

describe('group commit beside others on one store', () => {
  let store: Store;
  let commit: GroupCommit;

  beforeEach(async () => {
    store = new MemoryStore({ exclusive: false });
    commit = new GroupCommit({ store, clock: new VirtualClock(), ids: createIds() });
    await store.commit([writeSet({ puts: [insert(item('x', { owner: '' }), 1)] })]);
  });

  /** What another process does. */
  const other = (letter: string) =>
    new GroupCommit({ store, clock: new VirtualClock(), ids: createIds() }).run('other', 'x', addLetter(letter));

  test('commands that built on each other, and are refused together, do not go on building on what fails', async () => {
    let written: Promise<void> | undefined;
    // Another one writes the row between the first's reading and its commit.
    const first = commit.run(
      'first',
      'x',
      addLetter('a', () => {
        written ??= other('o');
        return written;
      }),
    );
    const rest = ['b', 'c', 'd'].map((letter) => commit.run(letter, 'x', addLetter(letter)));
    await Promise.all([first, ...rest]);
    expect(await lettersOf(store)).toBe('abcdo');
    expect(commit.stats.conflicts).toBe(4);
  });

  test('a command that read what a refused one would have left behind is not committed on it', async () => {
    let written: Promise<void> | undefined;
    const first = commit.run(
      'first',
      'x',
      addLetter('a', () => {
        written ??= other('o');
        return written;
      }),
    );
    // It is still executing when the first is refused.
    const seen: (string | undefined)[] = [];
    const firstRefused = Promise.withResolvers<void>();
    const late = commit.run(
      'late',
      'x',
      addLetter('b', async (x) => {
        seen.push(x?.owner);
        if (commit.stats.conflicts === 0) await firstRefused.promise;
      }),
    );
    while (commit.stats.conflicts === 0) await new Promise((resolve) => setImmediate(resolve));
    firstRefused.resolve();
    await Promise.all([first, late]);
    expect(seen[0]).toBe('a');
    expect(await lettersOf(store)).toBe('abo');
    expect(commit.stats.conflicts).toBe(1);
  });
});
