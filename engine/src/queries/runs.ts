import {
  decodeJson,
  invariant,
  type Json,
  type JsonText,
  limits,
  RunNotFoundError,
  ValidationError,
} from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import { outputOf } from '../kernel/memo.ts';
import { endingOf, type RunEnding } from '../kernel/run.ts';
import { type StatusFilter, type WireRunStatus, wireStatus } from '../kernel/status-word.ts';
import type { Scan, Store } from '../store/port.ts';
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

/** A run as clients see it. */
export interface RunView {
  readonly id: string;
  readonly functionId: string;
  readonly functionVersion: number;
  readonly eventId: string;
  readonly status: WireRunStatus;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly input: Json;
  readonly output?: Json;
  readonly error?: Failure;
  /** Set while it is undone: how it will end once its compensations have run. */
  readonly ending?: RunEnding | undefined;
  readonly parentRunId?: string;
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
  readonly status: 'completed' | 'failed' | 'timed_out' | 'sleeping' | 'waiting' | 'retrying';
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
  readonly attempts: readonly AttemptView[];
}

/** An attempt that did not end its step. */
export interface AttemptView {
  readonly number: number;
  readonly outcome: 'failed' | 'unknown';
  readonly worker?: string;
  readonly error?: Failure;
  readonly startedAt?: string;
  readonly endedAt: string;
}

const ALL = Number.MAX_SAFE_INTEGER;

export async function getRun(store: Store, env: string, runId: string): Promise<RunView> {
  return runView(store, await findRun(store, env, runId));
}

export async function findRun(store: Store, env: string, runId: string): Promise<RunRow> {
  const [found] = await store.get(runs, [[runId]]);
  if (found === null || found === undefined || found.row.env !== env) throw new RunNotFoundError(runId);
  return found.row;
}

export async function runView(store: Store, run: RunRow): Promise<RunView> {
  const input = run.input ?? (await eventData(store, run.eventId));
  return {
    id: run.id,
    functionId: run.functionId,
    functionVersion: run.functionVersion,
    eventId: run.eventId,
    status: wireStatus[run.status],
    attempt: run.attempt,
    maxAttempts: run.maxAttempts,
    input: decodeJson(input),
    ...(run.output !== null && { output: decodeJson(run.output) }),
    ...(run.error !== null && { error: failureFrom(run.error) }),
    ...(run.ending !== null && { ending: endingOf(run) }),
    ...(run.parentRunId !== null && { parentRunId: run.parentRunId }),
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

export interface ListRunsOptions {
  readonly functionId?: string | undefined;
  readonly status?: StatusFilter | undefined;
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
  const before = options.cursor === undefined ? undefined : cursorFrom(options.cursor);
  const { functionId, status } = options;
  if (status === 'never') return { runs: [], totalCount: 0 };
  const range: Scan<RunRow> =
    functionId !== undefined
      ? { table: runs, index: 'byFunction', prefix: [env, functionId], limit: ALL }
      : status !== undefined
        ? { table: runs, index: 'byStatus', prefix: [env, status], limit: ALL }
        : { table: runs, index: 'byEnv', prefix: [env], limit: ALL };
  const fits = (run: RunRow) => status === undefined || run.status === status;
  const byBoth = functionId !== undefined && status !== undefined;
  const found: RunRow[] = [];
  let at = before;
  for (;;) {
    const page = await store.scan({
      ...range,
      direction: 'backward',
      ...(at !== undefined && { before: [at] }),
      limit: limit + 1 - found.length + (byBoth ? 100 : 0),
    });
    for (const { row } of page) if (fits(row) && found.length <= limit) found.push(row);
    const last = page.at(-1);
    if (last === undefined || found.length > limit) break;
    at = last.row.id;
  }
  const totalCount = byBoth ? await countFitting(store, range, fits) : await store.count(range);
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return {
    runs: await Promise.all(shown.map((run) => runView(store, run))),
    ...(found.length > limit && last !== undefined && { nextCursor: cursorOf(last.id) }),
    totalCount,
  };
}

async function countFitting(store: Store, range: Scan<RunRow>, fits: (run: RunRow) => boolean): Promise<number> {
  let count = 0;
  for (let after: string | undefined; ; ) {
    const page = await store.scan({ ...range, ...(after !== undefined && { after: [after] }), limit: 1_000 });
    count += page.filter(({ row }) => fits(row)).length;
    const last = page.at(-1);
    if (last === undefined || page.length < 1_000) return count;
    after = last.row.id;
  }
}

const cursorOf = (runId: string) => Buffer.from(runId).toString('base64url');

function cursorFrom(cursor: string): string {
  const runId = Buffer.from(cursor, 'base64url').toString();
  if (!/^run_[0-9a-z]+$/.test(runId)) {
    throw new ValidationError('The cursor was not made by this listing. Pass on the nextCursor of the page before.', {
      validationErrors: [{ path: 'cursor', message: 'is not a cursor' }],
    });
  }
  return runId;
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
  const views = [
    ...stepRows.map((row) => ({ order: [row.wake, row.sequence], view: stepView(row, attemptsOf(row.stepId)) })),
    ...waitRows
      .filter(({ kind }) => kind !== 'run-retry')
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

function stepView(row: StepRow, failed: readonly AttemptView[]): StepView {
  const output = outputOf(row);
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
    attempts: failed,
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

const WAIT_STATUS = { sleep: 'sleeping', event: 'waiting', child: 'waiting', retry: 'retrying' } as const;
const WAIT_TYPE = { sleep: 'sleep', event: 'wait_for_event', child: 'invoke', retry: 'run' } as const;

function waitView(row: WaitRow, failed: readonly AttemptView[]): StepView {
  invariant(row.kind !== 'run-retry', 'a retry of the whole run is not a step');
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
