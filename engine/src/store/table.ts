// How a table is declared: once, with real columns and indexes, for every adapter.

export type Value = string | number | boolean | null;
export type ColumnType = 'text' | 'integer' | 'real' | 'boolean' | 'json';

export interface Column<T extends Value = Value> {
  readonly type: ColumnType;
  readonly nullable: boolean;
  /** Written when the row is inserted and never again; an update leaves it out. */
  readonly immutable: boolean;
  /** Carries the TypeScript type of the column's values; never set. */
  readonly valueType?: T;
}

interface ColumnOptions {
  readonly immutable?: boolean;
}

function column<T extends Value>(type: ColumnType, nullable: boolean, options: ColumnOptions = {}): Column<T> {
  return { type, nullable, immutable: options.immutable ?? false };
}

export const text = <T extends string = string>(options?: ColumnOptions): Column<T> => column('text', false, options);
export const integer = (options?: ColumnOptions): Column<number> => column('integer', false, options);
export const boolean = (options?: ColumnOptions): Column<boolean> => column('boolean', false, options);
/** JSON as text. Stores keep it as it was given; nothing below the commands reads it. */
export const json = <T extends string = string>(options?: ColumnOptions): Column<T> => column('json', false, options);

export const nullable = <T extends Value>(inner: Column<T>): Column<T | null> => ({
  type: inner.type,
  immutable: inner.immutable,
  nullable: true,
});

export type Columns = Readonly<Record<string, Column>>;
export type RowOf<C extends Columns> = { readonly [K in keyof C]: C[K] extends Column<infer T> ? T : never };
export type Row = Readonly<Record<string, Value>>;

export interface Index {
  readonly columns: readonly string[];
  /** The index holds only rows in which this column is not null. */
  readonly sparse: string | undefined;
  readonly unique: boolean;
}

/**
 * A table. With `position` it is a log: rows are appended and never changed, and the store gives each the next number of
 * its partition (the key's columns before the position), in the order in which commits become visible.
 */
export interface Table<R extends Row = Row> {
  readonly name: string;
  readonly columns: Columns;
  readonly columnNames: readonly string[];
  /** The columns whose values may be long: JSON. */
  readonly payloads: readonly string[];
  readonly key: readonly string[];
  readonly indexes: Readonly<Record<string, Index>>;
  readonly position: string | undefined;
  /** Carries the row's TypeScript type; never set. */
  readonly rowType?: R;
}

interface IndexSpec<K extends string> {
  readonly columns: readonly K[];
  readonly sparse?: K;
  readonly unique?: boolean;
}

interface TableSpec<C extends Columns> {
  readonly name: string;
  readonly columns: C;
  readonly key: readonly (keyof C & string)[];
  readonly indexes?: Readonly<Record<string, IndexSpec<keyof C & string>>>;
}

export function table<const C extends Columns>(spec: TableSpec<C>): Table<RowOf<C>> {
  return declare(spec, undefined);
}

/** Declares a log: the last column of the key is the position that the store assigns. */
export function log<const C extends Columns>(spec: TableSpec<C>): Table<RowOf<C>> {
  const position = spec.key.at(-1);
  if (position === undefined) throw new TypeError(`log ${spec.name} has no key`);
  return declare(spec, position);
}

function declare<C extends Columns>(spec: TableSpec<C>, position: string | undefined): Table<RowOf<C>> {
  const indexes: Record<string, Index> = {};
  for (const [name, index] of Object.entries(spec.indexes ?? {})) {
    indexes[name] = { columns: index.columns, sparse: index.sparse, unique: index.unique ?? false };
  }
  const columnNames = Object.keys(spec.columns);
  return {
    name: spec.name,
    columns: spec.columns,
    columnNames,
    payloads: columnNames.filter((name) => spec.columns[name]?.type === 'json'),
    key: spec.key,
    indexes,
    position,
  };
}

export type Key = readonly Value[];

export function keyOf(table: Table, row: Row): Key {
  return table.key.map((name) => row[name] ?? null);
}

/** A key as one string, for maps. */
export function keyText(key: Key): string {
  const [only] = key;
  return key.length === 1 && typeof only === 'string' ? only : JSON.stringify(key);
}

/** What a row is called among those of all tables: for maps that are asked often, made once and handed on. */
export const rowName = (table: Table, key: Key): string => `${table.name} ${keyText(key)}`;
