// Runs by what they are about. A listing goes along the index of one attribute, and looks at the rest of the filter run by run.

import type { KnownFunctions } from '../kernel/function-definition.ts';
import type { Store, Stored } from '../store/port.ts';
import { type RunAttributeRow, type RunRow, runAttributes, runs } from '../store/tables.ts';
import { fitsRow, hasMore, type RunFilter, runIdRangeOf } from './run-filter.ts';

/** Rows that are read at a time where more than the attribute has to be looked at. */
const PAGE = 200;
/** How far the runs of each attribute are counted, to begin with the one that has the fewest. */
const COUNTED_MAX = 2_000;

/** What a run is about, by name; undefined when it has none. That a function declares none is known without a look at the store. */
export async function attributesOf(
  store: Store,
  run: RunRow,
  functions: KnownFunctions,
): Promise<Readonly<Record<string, string>> | undefined> {
  const definition = functions.known(run.env, run.functionId, run.functionVersion);
  if (definition !== undefined && definition.attributes === undefined) return undefined;
  const found = await store.scan({ table: runAttributes, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
  return found.length === 0 ? undefined : Object.fromEntries(found.map(({ row: { name, value } }) => [name, value]));
}

type Attributes = Readonly<Record<string, string>>;
type Range = Pick<RunAttributeRow, 'name' | 'value'>;

/** Runs that have all these attributes and fit the rest of the filter, newest first, before an id if one is given. */
export async function runsByAttributes(
  store: Store,
  env: string,
  filter: RunFilter & { readonly attributes: Attributes },
  before: string | undefined,
  limit: number,
): Promise<Stored<RunRow>[]> {
  const found: Stored<RunRow>[] = [];
  for await (const page of pagesOf(store, env, filter, before, limit)) {
    found.push(...page);
    if (found.length >= limit) break;
  }
  return found.slice(0, limit);
}

/** How many these are. With one attribute and nothing else the index knows; otherwise each run is looked at. */
export async function countByAttributes(
  store: Store,
  env: string,
  filter: RunFilter & { readonly attributes: Attributes },
): Promise<number> {
  const ranges = rangesOf(filter.attributes);
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1 && !hasMore(filter))
    return store.count({ ...scanOf(env, only, filter), limit: Number.MAX_SAFE_INTEGER });
  let count = 0;
  for await (const page of pagesOf(store, env, filter, undefined, PAGE)) count += page.length;
  return count;
}

async function* pagesOf(
  store: Store,
  env: string,
  filter: RunFilter & { readonly attributes: Attributes },
  before: string | undefined,
  limit: number,
): AsyncGenerator<Stored<RunRow>[]> {
  const [driving, ...others] = await narrowestFirst(store, env, filter);
  if (driving === undefined) return;
  const pageSize = others.length > 0 || hasMore(filter) ? PAGE : Math.min(limit, PAGE);
  for (let last = before; ; ) {
    const page = await store.scan({
      ...scanOf(env, driving, filter, last),
      direction: 'backward',
      limit: pageSize,
    });
    last = page.at(-1)?.row.runId;
    let ids = page.map(({ row }) => row.runId);
    for (const other of others) ids = await having(store, ids, other);
    const found = ids.length === 0 ? [] : await store.get(runs, ids.map(keyOfRun));
    yield found.filter((run): run is Stored<RunRow> => run !== null && fitsRow(run.row, env, filter));
    if (page.length < pageSize) return;
  }
}

/** Those of the runs that have an attribute as well. */
async function having(store: Store, runIds: readonly string[], { name, value }: Range): Promise<string[]> {
  if (runIds.length === 0) return [];
  const rows = await store.get(
    runAttributes,
    runIds.map((runId) => [runId, name]),
  );
  return runIds.filter((_, i) => rows[i]?.row.value === value);
}

async function narrowestFirst(
  store: Store,
  env: string,
  filter: RunFilter & { readonly attributes: Attributes },
): Promise<Range[]> {
  const ranges = rangesOf(filter.attributes);
  if (ranges.length < 2) return ranges;
  const counts = await Promise.all(
    ranges.map((range) => store.count({ ...scanOf(env, range, filter), limit: COUNTED_MAX })),
  );
  return ranges
    .map((range, i) => ({ range, count: counts[i] ?? 0 }))
    .sort((a, b) => a.count - b.count)
    .map(({ range }) => range);
}

function scanOf(env: string, { name, value }: Range, filter: RunFilter, before?: string) {
  return {
    table: runAttributes,
    index: 'byValue',
    prefix: [env, name, value],
    ...runIdRangeOf(filter, before),
  };
}

const rangesOf = (attributes: Attributes): Range[] =>
  Object.entries(attributes).map(([name, value]) => ({ name, value }));
const keyOfRun = (runId: string) => [runId];
