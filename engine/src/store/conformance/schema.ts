import { boolean, integer, json, log, nullable, type Table, table, text } from '../table.ts';

/** Tables of the suite's own: every column type, plain and sparse indexes, a composite key, a log with two partitions. */
export const items = table({
  name: 'items',
  columns: {
    id: text({ immutable: true }),
    owner: text(),
    size: integer(),
    readyAt: nullable(integer()),
    label: nullable(text()),
    fragile: boolean(),
    body: nullable(json()),
    origin: text({ immutable: true }),
    turn: integer(),
  },
  key: ['id'],
  indexes: {
    byOwner: { columns: ['owner', 'size', 'id'] },
    byReady: { columns: ['readyAt', 'id'], sparse: 'readyAt' },
    byLabel: { columns: ['label', 'owner', 'id'], sparse: 'label' },
  },
});

export const parts = table({
  name: 'parts',
  columns: { itemId: text({ immutable: true }), number: integer({ immutable: true }), note: text() },
  key: ['itemId', 'number'],
});

export const entries = log({
  name: 'entries',
  columns: { book: text(), position: integer(), id: text(), topic: text(), body: json() },
  key: ['book', 'position'],
  indexes: { byId: { columns: ['id'], unique: true }, byTopic: { columns: ['book', 'topic', 'position'] } },
});

export const schema: readonly Table[] = [items, parts, entries];

type RowTypeOf<T> = T extends Table<infer R> ? R : never;
export type Item = RowTypeOf<typeof items>;

export const item = (id: string, overrides: Partial<Item> = {}): Item => ({
  id,
  owner: 'a',
  size: 1,
  readyAt: null,
  label: null,
  fragile: false,
  body: null,
  origin: 'here',
  turn: 0,
  ...overrides,
});

export const entry = (book: string, id: string, topic = 't') => ({
  log: entries,
  row: { book, id, topic, body: '{}' },
});
