import { decodeJson, type Json, type JsonText, limits, RunNotFoundError } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import { endingOf, pauseOf, type RunEnding } from '../kernel/run.ts';
import { type WireRunStatus, wireStatus } from '../kernel/status-word.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/port.ts';
import type { Key } from '../store/table.ts';
import { events, type RunRow, runs } from '../store/tables.ts';
import { cursorFrom, cursorOf } from './cursor.ts';
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

/** A run, and in one sentence why it is not done. */
export async function getRun(store: Store, env: string, runId: string, clock: Clock): Promise<RunView> {
  const run = await findRun(store, env, runId);
  const [view, why] = await Promise.all([runView(store, run), whyNotDone(store, run, clock)]);
  return { ...view, ...(why !== undefined && { why }) };
}

export async function findRun(store: Pick<Store, 'get'>, env: string, runId: string): Promise<RunRow> {
  const [found] = await store.get(runs, [[runId]]);
  if (found === null || found === undefined || found.row.env !== env) throw new RunNotFoundError(runId);
  return found.row;
}

export async function runView(store: Store, run: RunRow): Promise<RunView> {
  const pause = pauseOf(run);
  const input = run.input ?? (await eventData(store, run.eventId));
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
export async function listRuns(store: Store, env: string, options: ListRunsOptions): Promise<RunPage> {
  const limit = Math.min(options.limit ?? limits.pageSizeDefault, limits.pageSizeMax);
  if (options.status === 'never') return { runs: [], totalCount: 0 };
  const range = rangeOf(env, options);
  const before = options.cursor === undefined ? undefined : cursorFrom(options.cursor, 'run');
  const [found, totalCount] = await Promise.all([
    store.scan({
      ...range,
      ...(before !== undefined && { before: earlier(range.before, [before]) }),
      direction: 'backward',
      limit: limit + 1,
    }),
    store.count({ ...range, limit: ALL }),
  ]);
  const shown = found.slice(0, limit).map(({ row }) => row);
  const last = shown.at(-1);
  return {
    runs: await Promise.all(shown.map((run) => runView(store, run))),
    ...(found.length > limit && last !== undefined && { nextCursor: cursorOf(last.id) }),
    totalCount,
  };
}

/** The ids of one page of runs, newest first, before an id. */
export async function runIdsBefore(
  store: Store,
  env: string,
  filter: RunFilter,
  before: string,
  limit: number,
): Promise<string[]> {
  if (filter.status === 'never') return [];
  const range = rangeOf(env, filter);
  const found = await store.scan({
    ...range,
    before: earlier(range.before, [before]),
    direction: 'backward',
    limit,
  });
  return found.map(({ row }) => row.id);
}

function earlier(a: Key | undefined, b: Key): Key {
  return a !== undefined && String(a[0]) < String(b[0]) ? a : b;
}

export const iso = (ms: number) => new Date(ms).toISOString();
export const failureFrom = (text: JsonText) => JSON.parse(text) as Failure; // as a command stored it
