import { describe, expect, test } from 'vitest';
import { integer, json, rowName, table, text } from '../store/table.ts';
import { RowCache } from './row-cache.ts';

const notes = table({ name: 'notes', columns: { id: text(), size: integer(), body: json() }, key: ['id'] });
const name = (id: string) => rowName(notes, [id]);
const note = (id: string, length: number) => ({ id, size: length, body: 'x'.repeat(length) });

function cacheOf(limits: { rowsMax?: number; payloadLengthMax?: number }) {
  const cache = new RowCache({ rowsMax: 10, payloadLengthMax: 100, ...limits });
  const write = (id: string, length: number) => cache.willWrite(notes, name(id), note(id, length), 1);
  return {
    cache,
    write,
    commit: (id: string) => cache.written(name(id)),
    read: (id: string, length: number) => cache.readFromStore(notes, name(id), { row: note(id, length), revision: 1 }),
    kept: (...ids: string[]) => ids.filter((id) => cache.get(name(id)) !== undefined),
  };
}

describe('the row cache', () => {
  test('lets the oldest rows go when there are too many', () => {
    const { read, kept } = cacheOf({ rowsMax: 2 });
    for (const id of ['a', 'b', 'c']) read(id, 1);
    expect(kept('a', 'b', 'c')).toEqual(['b', 'c']);
  });

  test('lets rows go when their payloads are too long, however few they are', () => {
    const { read, kept } = cacheOf({});
    for (const id of ['a', 'b', 'c']) read(id, 40);
    expect(kept('a', 'b', 'c')).toEqual(['b', 'c']);
  });

  test('counts a row that grew, and one that left', () => {
    const { cache, write, commit, read, kept } = cacheOf({});
    read('a', 10);
    write('a', 90);
    commit('a');
    read('b', 40);
    expect(kept('a', 'b')).toEqual(['b']);
    cache.forget(name('b'));
    for (const id of ['c', 'd']) read(id, 50);
    expect(kept('c', 'd')).toEqual(['c', 'd']);
  });

  test('keeps rows with pending writes beyond its limits, and lets them go when they are committed', () => {
    const { write, commit, read, kept } = cacheOf({});
    for (const id of ['a', 'b', 'c']) write(id, 60);
    expect(kept('a', 'b', 'c')).toEqual(['a', 'b', 'c']);
    for (const id of ['a', 'b', 'c']) commit(id);
    read('d', 60);
    expect(kept('a', 'b', 'c', 'd')).toEqual(['d']);
  });

  test('drops a row that the store says is gone', () => {
    const { cache, read, kept } = cacheOf({});
    read('a', 1);
    cache.readFromStore(notes, name('a'), null);
    expect(kept('a')).toEqual([]);
  });
});
