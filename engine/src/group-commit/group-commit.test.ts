import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createIds } from '../ports/ids.ts';
import { VirtualClock } from '../ports/virtual-clock.ts';
import { type Item, item, items, schema } from '../store/conformance/schema.ts';
import { insert, update, writeSet } from '../store/conformance/write-sets.ts';
import { StoreUnavailableError } from '../store/errors.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Claim, CommitResult, Store, Stored, WriteSet } from '../store/port.ts';
import { SqliteStore } from '../store/sqlite/index.ts';
import { migrationOf } from '../store/sqlite/migrations.ts';
import type { Row } from '../store/table.ts';
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

describe.each(['memory', 'memory, shared', 'sqlite'])('group commit on %s', (name) => {
  let directory: string;
  let store: Store;
  let commit: GroupCommit;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ironflow-group-commit-'));
    store =
      name === 'sqlite'
        ? new SqliteStore({ directory, migrations: [migrationOf(schema)] })
        : new MemoryStore({ exclusive: name === 'memory' });
    await store.migrate();
    commit = new GroupCommit({ store, clock: new VirtualClock(), ids: createIds() });
    await commit.run('insert', undefined, async (tx) =>
      tx.insert(items, item('x', { owner: '', readyAt: 1, turn: 0 })),
    );
  });
  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test('a claim between two commands that build on each other loses nothing, and neither do they', async () => {
    const second = Promise.withResolvers<void>();
    const done = [
      commit.run('first', 'x', addLetter('a')),
      commit.run(
        'second',
        'x',
        addLetter('b', () => second.resolve()),
      ),
    ];
    // The second has what the first will leave behind; neither is committed.
    await second.promise;
    const claimed = await commit.claim({
      table: items,
      index: 'byReady',
      limit: 1,
      set: { readyAt: null },
      increment: ['turn'],
    });
    expect(claimed?.map(({ row }) => row.owner)).toEqual(['']);
    await Promise.all(done);
    expect(await lettersOf(store)).toBe('ab');
    expect((await store.get(items, [['x']]))[0]?.row).toMatchObject({ readyAt: null, turn: 1 });
  });

  test('a command that built on a refused one does not take what another wrote instead for that', async () => {
    // a and b go on from the same row; c from what b would leave behind. a is committed, so b cannot be, and c must not be.
    const [bRead, aDone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const a = commit.run(
      'a',
      'a',
      addLetter('a', () => bRead.promise.then(() => aDone.resolve())),
    );
    const b = commit.run(
      'b',
      'b',
      addLetter('b', async () => {
        bRead.resolve();
        await aDone.promise;
      }),
    );
    const c = commit.run('c', 'b', addLetter('c'));
    await Promise.all([a, b, c]);
    expect(await lettersOf(store)).toBe('abc');
  });
});

/** Its next commit, or claim, does not take place, or does and its answer is lost. */
class FailingStore extends MemoryStore {
  fails: 'commit before' | 'claim after' | undefined;

  override async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    if (this.#failsNow('commit before')) throw new StoreUnavailableError('unreachable');
    return super.commit(writeSets);
  }

  override async claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    const claimed = await super.claim(claim);
    if (this.#failsNow('claim after')) throw new StoreUnavailableError('the answer was lost');
    return claimed;
  }

  #failsNow(how: FailingStore['fails']): boolean {
    if (this.fails !== how) return false;
    this.fails = undefined;
    return true;
  }
}

describe('a refusal', () => {
  class TakenError extends Error {}
  let store: FailingStore;
  let commit: GroupCommit;
  const take =
    (letter: string): Command<string> =>
    async (tx) => {
      const x = await tx.get(items, ['x']);
      if (x === null || x.owner !== '') throw new TakenError(`it is ${x?.owner}’s`);
      tx.update(items, { ...x, owner: letter });
      return letter;
    };
  const open = async (exclusive: boolean) => {
    store = new FailingStore({ exclusive });
    commit = new GroupCommit({ store, clock: new VirtualClock(), ids: createIds() });
    await commit.run('insert', undefined, async (tx) => tx.insert(items, item('x', { owner: '', readyAt: 1 })));
  };

  describe.each([true, false])('where the store is exclusive: %s', (exclusive) => {
    beforeEach(() => open(exclusive));

    test('is not answered when what it rests on may not have been committed', async () => {
      store.fails = 'commit before';
      const answers = await Promise.allSettled([commit.run('a', 'x', take('a')), commit.run('b', 'x', take('b'))]);
      expect(answers.map((answer) => answer.status === 'rejected' && answer.reason)).toEqual([
        expect.any(StoreUnavailableError),
        expect.any(StoreUnavailableError),
      ]);
      await expect(commit.run('b', 'x', take('b'))).resolves.toBe('b');
    });

    test('is answered once what it rests on is durable', async () => {
      const answered: string[] = [];
      const first = commit.run('a', 'x', take('a')).then(() => answered.push('a'));
      const second = commit.run('b', 'x', take('b')).catch((error) => answered.push(error.message));
      await Promise.all([first, second]);
      expect(answered).toEqual(['a', 'it is a’s']);
    });

    test('does not rest on a row that a claim may have changed, its answer being lost', async () => {
      const beReady: Command<void> = async (tx) => {
        if ((await tx.get(items, ['x']))?.readyAt !== null) throw new TakenError('it is ready');
      };
      await expect(commit.run('look', 'x', beReady)).rejects.toThrow('it is ready');
      store.fails = 'claim after';
      const claim = { table: items, index: 'byReady', limit: 1, set: { readyAt: null }, increment: [] };
      await expect(commit.claim(claim)).rejects.toThrow(StoreUnavailableError);
      await commit.run('look', 'x', beReady);
    });
  });

  test('that rests on a write which another process’s wins over is none', async () => {
    await open(false);
    const [x] = await store.get(items, [['x']]);
    const refused = Promise.withResolvers<void>();
    const both = [
      commit.run('a', 'x', take('a')),
      commit.run('b', 'x', (tx) => take('b')(tx).finally(() => refused.resolve())),
    ];
    await refused.promise;
    // a is on its way and b has been refused because of it: another process takes it from both.
    await store.commit([writeSet({ puts: [update(item('x', { owner: 'o' }), x?.revision ?? 0)] })]);
    const answers = await Promise.allSettled(both);
    const messages = answers.map((answer) => answer.status === 'rejected' && (answer.reason as Error).message);
    expect(messages).toEqual(['it is o’s', 'it is o’s']);
  });
});
