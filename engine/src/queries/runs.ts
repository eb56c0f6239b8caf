import { decodeJson, type Json, type JsonText, limits, RunNotFoundError } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { KnownFunctions } from '../kernel/function-definition.ts';
import { endingOf, pauseOf, type RunEnding } from '../kernel/run.ts';
import { type WireRunStatus, wireStatus } from '../kernel/status-word.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store, Stored } from '../store/port.ts';
import { events, type RunRow, runs } from '../store/tables.ts';
import { cursorFrom, cursorOf } from './cursor.ts';
import { attributesOf, countByAttributes, runsByAttributes } from './run-attributes.ts';
import { type RunFilter, rangeOf } from './run-filter.ts';
import { whyNotDone } from './why.ts';

/** A run as clients see it. */
export interface RunView {
  readonly id: string;
  readonly functionId: string;
  readonly functionVersion: number;
  readonly eventId: string;
  readonly eventName: string;
  readonly status: WireRunStatus;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly input: Json;
  readonly output?: Json;
  readonly error?: Failure;
  /** Set while it is undone: how it will end once its compensations have run. */
  readonly ending?: RunEnding | undefined;
  readonly parentRunId?: string;
  /** What it is about, by the names that its function declares. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** The run that it is another go of. */
  readonly rerunOf?: string;
  /** Somebody wants it to be paused, and a worker is still at it. */
  readonly pauseRequested?: boolean;
  readonly pauseReason?: string;
  /** Why it has not ended, in one sentence. Where one run was asked for. */
  readonly why?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
}

const ALL = Number.MAX_SAFE_INTEGER;

/** What runs are viewed with. */
export interface RunViewPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly functions: KnownFunctions;
}

/** A run, and in one sentence why it is not done. */
export async function getRun(ports: RunViewPorts, env: string, runId: string): Promise<RunView> {
  const { store, clock } = ports;
  const run = await findRun(store, env, runId);
  const [view, why] = await Promise.all([runView(ports, run), whyNotDone(store, run, clock)]);
  return { ...view, ...(why !== undefined && { why }) };
}

export async function findRun(store: Pick<Store, 'get'>, env: string, runId: string): Promise<RunRow> {
  const [found] = await store.get(runs, [[runId]]);
  if (found === null || found === undefined || found.row.env !== env) throw new RunNotFoundError(runId);
  return found.row;
}

export async function runView({ store, functions }: Omit<RunViewPorts, 'clock'>, run: RunRow): Promise<RunView> {
  const pause = pauseOf(run);
  const [input, attributes] = await Promise.all([
    run.input ?? eventData(store, run.eventId),
    attributesOf(store, run, functions),
  ]);
  return {
    id: run.id,
    functionId: run.functionId,
    functionVersion: run.functionVersion,
    eventId: run.eventId,
    eventName: run.eventName,
    status: wireStatus[run.status],
    attempt: run.attempt,
    maxAttempts: run.maxAttempts,
    input: decodeJson(input),
    ...(run.output !== null && { output: decodeJson(run.output) }),
    ...(run.error !== null && { error: failureFrom(run.error) }),
    ...(run.ending !== null && { ending: endingOf(run) }),
    ...(run.parentRunId !== null && { parentRunId: run.parentRunId }),
    ...(run.rerunOf !== null && { rerunOf: run.rerunOf }),
    ...(attributes !== undefined && { attributes }),
    ...(pause !== undefined && { pauseRequested: run.status === 'running', pauseReason: pause.reason }),
    createdAt: iso(run.createdAt),
    updatedAt: iso(run.updatedAt),
    ...(run.startedAt !== null && { startedAt: iso(run.startedAt) }),
    ...(run.endedAt !== null && { endedAt: iso(run.endedAt) }),
  };
}

async function eventData(store: Store, eventId: string): Promise<JsonText> {
  const [event] = await store.scan({ table: events, index: 'byId', prefix: [eventId], limit: 1 });
  return event?.row.data ?? ('null' as JsonText);
}

export interface ListRunsOptions extends RunFilter {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface RunPage {
  readonly runs: readonly RunView[];
  readonly nextCursor?: string;
  readonly totalCount: number;
}

/** Runs of an environment, newest first. */
export async function listRuns(
  ports: Omit<RunViewPorts, 'clock'>,
  env: string,
  options: ListRunsOptions,
): Promise<RunPage> {
  const { store } = ports;
  const limit = Math.min(options.limit ?? limits.pageSizeDefault, limits.pageSizeMax);
  const before = options.cursor === undefined ? undefined : cursorFrom(options.cursor, 'run');
  const [found, totalCount] = await Promise.all([
    newestRuns(store, env, options, before, limit + 1),
    countRuns(store, env, options),
  ]);
  const shown = found.slice(0, limit).map(({ row }) => row);
  const last = shown.at(-1);
  return {
    runs: await Promise.all(shown.map((run) => runView(ports, run))),
    ...(found.length > limit && last !== undefined && { nextCursor: cursorOf(last.id) }),
    totalCount,
  };
}

/** How many runs a filter fits. */
export async function countRuns(store: Store, env: string, filter: RunFilter): Promise<number> {
  if (filter.status === 'never') return 0;
  if (hasAttributes(filter)) return countByAttributes(store, env, filter);
  return store.count({ ...rangeOf(env, filter), limit: ALL });
}

/** The ids of one page of runs, newest first, before an id. */
export async function runIdsBefore(
  store: Store,
  env: string,
  filter: RunFilter,
  before: string,
  limit: number,
): Promise<string[]> {
  return (await newestRuns(store, env, filter, before, limit)).map(({ row }) => row.id);
}

async function newestRuns(
  store: Store,
  env: string,
  filter: RunFilter,
  before: string | undefined,
  limit: number,
): Promise<Stored<RunRow>[]> {
  if (filter.status === 'never') return [];
  if (hasAttributes(filter)) return runsByAttributes(store, env, filter, before, limit);
  return store.scan({ ...rangeOf(env, filter, before), direction: 'backward', limit });
}

function hasAttributes<F extends RunFilter>(
  filter: F,
): filter is F & { readonly attributes: NonNullable<RunFilter['attributes']> } {
  return filter.attributes !== undefined && Object.keys(filter.attributes).length > 0;
}

export const iso = (ms: number) => new Date(ms).toISOString();
export const failureFrom = (text: JsonText) => JSON.parse(text) as Failure; // as a command stored it
