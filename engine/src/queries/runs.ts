import { decodeJson, invariant, type Json, type JsonText, limits, RunNotFoundError } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import { outputOf } from '../kernel/memo.ts';
import { endingOf, pauseOf, type RunEnding } from '../kernel/run.ts';
import { type WireRunStatus, wireStatus } from '../kernel/status-word.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/port.ts';
import type { Key } from '../store/table.ts';
import {
  type AttemptRow,
  attempts,
  events,
  type RunRow,
  runs,
  type StepRow,
  steps,
  type WaitRow,
  waits,
} from '../store/tables.ts';
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

export interface StepView {
  readonly id: string;
  readonly runId: string;
  readonly name: string;
  readonly type: string;
  readonly status: 'completed' | 'failed' | 'timed_out' | 'sleeping' | 'waiting' | 'retrying' | 'undecided';
  readonly output?: Json;
  readonly error?: Failure;
  readonly attempt: number;
  readonly sequence: number;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly durationMs?: number;
  /** For a wait that is open: when it ends or times out. */
  readonly dueAt?: string;
  readonly childRunId?: string;
  /** When an operator put another output in its place. */
  readonly patchedAt?: string;
  readonly attempts: readonly AttemptView[];
  /** How often its body was started: at least so often, by what is on record; at most so often, as leases were lost. */
  readonly starts?: { readonly atLeast: number; readonly atMost: number };
}

/** One start of a step's body; of a run as a whole, one lease that brought no end. */
export interface AttemptView {
  readonly number: number;
  /** `dropped`: it ended the step, and an operator had the step run again. */
  readonly outcome: 'completed' | 'failed' | 'unknown' | 'dropped';
  readonly worker?: string;
  readonly error?: Failure;
  readonly startedAt?: string;
  readonly endedAt: string;
}

const ALL = Number.MAX_SAFE_INTEGER;

/** A run, and in one sentence why it is not done. */
export async function getRun(store: Store, env: string, runId: string, clock: Clock): Promise<RunView> {
  const run = await findRun(store, env, runId);
  const [view, why] = await Promise.all([runView(store, run), whyNotDone(store, run, clock)]);
  return { ...view, ...(why !== undefined && { why }) };
}

export async function findRun(store: Store, env: string, runId: string): Promise<RunRow> {
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

/** The steps of a run in the order in which they came, with their attempts, and the waits that are still open. */
export async function getSteps(store: Store, env: string, runId: string): Promise<StepView[]> {
  await findRun(store, env, runId);
  const of = <R extends StepRow | WaitRow | AttemptRow>(rows: readonly { readonly row: R }[]) =>
    rows.map(({ row }) => row);
  const [stepRows, waitRows, attemptRows] = await Promise.all([
    store.scan({ table: steps, prefix: [runId], limit: ALL }).then((rows) => of(rows)),
    store.scan({ table: waits, prefix: [runId], limit: ALL }).then((rows) => of(rows)),
    store.scan({ table: attempts, prefix: [runId], limit: ALL }).then((rows) => of(rows)),
  ]);
  const attemptsOf = (stepId: string) => attemptRows.filter((row) => row.stepId === stepId).map(attemptView);
  const cutOff = attemptRows.filter(isCutOff).map(({ fence }) => fence);
  const views = [
    ...stepRows.map((row) => ({
      order: [row.wake, row.sequence],
      view: stepView(row, attemptsOf(row.stepId), cutOff),
    })),
    ...waitRows
      .filter(({ kind }) => kind !== 'run-retry' && kind !== 'alternative')
      .map((row) => ({ order: [row.wake, row.sequence], view: waitView(row, attemptsOf(row.stepId)) })),
  ];
  const listed = views
    .sort(({ order: [a = 0, b = 0] }, { order: [c = 0, d = 0] }) => a - c || b - d)
    .map(({ view }) => view);
  const known = new Set(listed.map(({ id }) => id).concat(''));
  for (const row of attemptRows.toReversed()) {
    if (known.has(row.stepId)) continue;
    known.add(row.stepId);
    const next = listed.findIndex(({ startedAt = '' }) => startedAt > iso(row.startedAt ?? row.endedAt));
    listed.splice(next < 0 ? listed.length : next, 0, failedStepView(row, attemptsOf(row.stepId)));
  }
  return listed.map((view, i) => ({ ...view, sequence: i }));
}

/** Attempts of the run as a whole: handlers that threw, leases that were lost. */
export async function getRunAttempts(store: Store, env: string, runId: string): Promise<AttemptView[]> {
  await findRun(store, env, runId);
  const rows = await store.scan({ table: attempts, prefix: [runId, ''], limit: ALL });
  return rows.map(({ row }) => attemptView(row));
}

/** A lease that ended while bodies may have run under it: it was lost, or its time was up. */
function isCutOff({ stepId, outcome, error }: AttemptRow): boolean {
  return stepId === '' && (outcome === 'unknown' || (error ?? '').includes('"FUNCTION_TIMEOUT"'));
}

/** @param cutOff - Fences of leases that were cut off: under each the body may have been started once more. */
function stepView(row: StepRow, earlier: readonly AttemptView[], cutOff: readonly number[]): StepView {
  const output = outputOf(row);
  const hasBody = row.kind === 'run' || row.kind === 'compensate';
  // The engine itself records what was decided or waited for, under no fence.
  const last = hasBody && row.fence > 0 ? [lastAttempt(row)] : [];
  const attempts = [...earlier, ...last];
  const lost = cutOff.filter((fence) => row.fence === 0 || fence < row.fence).length;
  const onRecord = attempts.length;
  return {
    id: row.stepId,
    runId: row.runId,
    name: row.name,
    type: row.kind,
    status: row.status,
    ...(output !== null && { output: decodeJson(output) }),
    ...(row.error !== null && { error: failureFrom(row.error) }),
    attempt: row.attempt,
    sequence: 0,
    startedAt: iso(row.startedAt),
    endedAt: iso(row.endedAt),
    durationMs: Math.max(0, row.endedAt - row.startedAt),
    ...(row.childRunId !== null && { childRunId: row.childRunId }),
    ...(row.patchedAt !== null && { patchedAt: iso(row.patchedAt) }),
    attempts,
    ...(hasBody && { starts: { atLeast: onRecord, atMost: onRecord + lost } }),
  };
}

/** The attempt that ended the step is in the step's own row. */
function lastAttempt(row: StepRow): AttemptView {
  return {
    number: row.attempt,
    outcome: row.status === 'completed' ? 'completed' : 'failed',
    ...(row.sessionId !== null && { worker: row.sessionId }),
    ...(row.error !== null && { error: failureFrom(row.error) }),
    startedAt: iso(row.startedAt),
    endedAt: iso(row.endedAt),
  };
}

/** A step that failed and has no result: by the published contract its run failed with it, or it runs again. */
function failedStepView(row: AttemptRow, failed: readonly AttemptView[]): StepView {
  return {
    id: row.stepId,
    runId: row.runId,
    name: row.name,
    type: 'run',
    status: 'failed',
    ...(row.error !== null && { error: failureFrom(row.error) }),
    attempt: row.number,
    sequence: 0,
    ...(row.startedAt !== null && { startedAt: iso(row.startedAt) }),
    endedAt: iso(row.endedAt),
    attempts: failed,
  };
}

/** What a run waits for. */
export interface WaitView {
  readonly stepId?: string;
  readonly name?: string;
  readonly kind: WaitRow['kind'];
  readonly since: string;
  readonly dueAt?: string;
  readonly event?: string;
  readonly match?: { readonly path: string; readonly value: Json };
  readonly childRunId?: string;
  readonly functionId?: string;
  /** For a retry: the attempt to come. */
  readonly attempt?: number;
}

/** The open waits of a run, the first to be over first. */
export async function getWaits(store: Store, env: string, runId: string): Promise<WaitView[]> {
  await findRun(store, env, runId);
  const rows = await store.scan({ table: waits, prefix: [runId], where: { resolution: null }, limit: ALL });
  return rows
    .map(({ row }) => row)
    .sort((a, b) => (a.dueAt ?? Infinity) - (b.dueAt ?? Infinity))
    .map((row) => ({
      ...(row.stepId !== '' && { stepId: row.stepId, name: row.name }),
      kind: row.kind,
      since: iso(row.createdAt),
      ...(row.dueAt !== null && { dueAt: iso(row.dueAt) }),
      ...(row.eventName !== null && { event: row.eventName }),
      ...(row.matchPath !== '' && { match: { path: row.matchPath, value: JSON.parse(row.matchValue) as Json } }),
      ...(row.childRunId !== null && { childRunId: row.childRunId }),
      ...(row.functionId !== null && { functionId: row.functionId }),
      ...((row.kind === 'retry' || row.kind === 'run-retry') && { attempt: row.attempt }),
    }));
}

const WAIT_STATUS = {
  sleep: 'sleeping',
  event: 'waiting',
  any: 'waiting',
  child: 'waiting',
  retry: 'retrying',
  decision: 'undecided',
} as const;
const WAIT_TYPE = {
  sleep: 'sleep',
  event: 'wait_for_event',
  any: 'wait_for_any',
  child: 'invoke',
  retry: 'run',
  decision: 'run',
} as const;

function waitView(row: WaitRow, failed: readonly AttemptView[]): StepView {
  invariant(row.kind !== 'run-retry' && row.kind !== 'alternative', `a ${row.kind} is not a step`);
  return {
    id: row.stepId,
    runId: row.runId,
    name: row.name,
    type: WAIT_TYPE[row.kind],
    status: WAIT_STATUS[row.kind],
    attempt: row.attempt,
    sequence: 0,
    startedAt: iso(row.createdAt),
    ...(row.dueAt !== null && { dueAt: iso(row.dueAt) }),
    ...(row.childRunId !== null && { childRunId: row.childRunId }),
    attempts: failed,
  };
}

function attemptView(row: AttemptRow): AttemptView {
  return {
    number: row.number,
    outcome: row.outcome,
    ...(row.sessionId !== null && { worker: row.sessionId }),
    ...(row.error !== null && { error: failureFrom(row.error) }),
    ...(row.startedAt !== null && { startedAt: iso(row.startedAt) }),
    endedAt: iso(row.endedAt),
  };
}

const iso = (ms: number) => new Date(ms).toISOString();
const failureFrom = (text: JsonText) => JSON.parse(text) as Failure; // as a command stored it
