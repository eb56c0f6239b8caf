// What is to be seen of a run's steps: those recorded, what the run waits for, and how often each body was started.

import { decodeJson, invariant, type Json } from '@ironflow/core';
import { type Failure, stepKindOfWait } from '@ironflow/core/wire';
import { outputOf } from '../kernel/memo.ts';
import { expressionText } from '../kernel/wait-match.ts';
import type { Store } from '../store/port.ts';
import { type AttemptRow, attempts, type StepRow, steps, type WaitRow, waits } from '../store/tables.ts';
import { failureFrom, findRun, iso } from './runs.ts';

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
  /** How often its body was started. */
  readonly starts?: StartBounds;
}

/**
 * How often a body was started. At least so often: ends of attempts are on record. At most so often: each start whose end is not, and
 * each lease that was lost, may have been one more.
 */
export interface StartBounds {
  readonly atLeast: number;
  readonly atMost: number;
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

/** The steps of a run in the order in which they came, with their attempts, and the waits that are still open. */
export async function getSteps(store: Pick<Store, 'get' | 'scan'>, env: string, runId: string): Promise<StepView[]> {
  await findRun(store, env, runId);
  const of = <R extends StepRow | WaitRow | AttemptRow>(rows: readonly { readonly row: R }[]) =>
    rows.map(({ row }) => row);
  const [stepRows, waitRows, attemptRows] = await Promise.all([
    store.scan({ table: steps, prefix: [runId], limit: ALL }).then((rows) => of(rows)),
    store.scan({ table: waits, prefix: [runId], limit: ALL }).then((rows) => of(rows)),
    store.scan({ table: attempts, prefix: [runId], limit: ALL }).then((rows) => of(rows)),
  ]);
  const attemptsOf = (stepId: string) => attemptRows.filter((row) => row.stepId === stepId);
  const cutOff = attemptRows.filter(isCutOff).map(({ fence }) => fence);
  const views = [
    ...stepRows.map((row) => ({
      order: [row.wake, row.sequence],
      view: stepView(row, attemptsOf(row.stepId), cutOff),
    })),
    ...waitRows
      .filter(({ kind }) => kind !== 'run-retry' && kind !== 'alternative')
      .map((row) => ({ order: [row.wake, row.sequence], view: waitView(row, attemptsOf(row.stepId), cutOff) })),
  ];
  const listed = views
    .sort(({ order: [a = 0, b = 0] }, { order: [c = 0, d = 0] }) => a - c || b - d)
    .map(({ view }) => view);
  const known = new Set(listed.map(({ id }) => id).concat(''));
  for (const row of attemptRows.toReversed()) {
    if (known.has(row.stepId)) continue;
    known.add(row.stepId);
    const next = listed.findIndex(({ startedAt = '' }) => startedAt > iso(row.startedAt ?? row.endedAt));
    listed.splice(next < 0 ? listed.length : next, 0, failedStepView(row, attemptsOf(row.stepId), cutOff));
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
function stepView(row: StepRow, earlier: readonly AttemptRow[], cutOff: readonly number[]): StepView {
  const output = outputOf(row);
  const hasBody = row.kind === 'run' || row.kind === 'compensate';
  // The engine itself records what was decided or waited for, under no fence.
  const isByWorker = hasBody && row.fence > 0;
  const before = isByWorker ? cutOff.filter((fence) => fence < row.fence) : cutOff;
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
    attempts: [...earlier.map(attemptView), ...(isByWorker ? [lastAttempt(row)] : [])],
    ...(hasBody && { starts: startsOf(earlier, before, isByWorker ? 1 : 0) }),
  };
}

/**
 * @param onRecord - Attempts in rows of their own.
 * @param cutOff - Fences of leases that were cut off before the step was recorded.
 * @param recorded - Starts that the step's own row tells of.
 */
function startsOf(onRecord: readonly AttemptRow[], cutOff: readonly number[], recorded = 0): StartBounds {
  const known = onRecord.filter(({ outcome }) => outcome !== 'unknown').length + recorded;
  const open = onRecord.length + recorded - known;
  // Where a start is on record under a lease, that lease left no other.
  const lost = cutOff.filter(
    (lease) => !onRecord.some(({ outcome, fence }) => outcome === 'unknown' && fence === lease),
  );
  return { atLeast: known, atMost: known + open + lost.length };
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
function failedStepView(row: AttemptRow, failed: readonly AttemptRow[], cutOff: readonly number[]): StepView {
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
    attempts: failed.map(attemptView),
    starts: startsOf(failed, cutOff),
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
  readonly match?: { readonly path: string; readonly value: Json } | { readonly expression: string };
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
      ...matchView(row),
      ...(row.childRunId !== null && { childRunId: row.childRunId }),
      ...(row.functionId !== null && { functionId: row.functionId }),
      ...((row.kind === 'retry' || row.kind === 'run-retry') && { attempt: row.attempt }),
    }));
}

/** An expression says all that is asked for; the place and value beside it are how it is looked up. */
function matchView({ matchExpression, matchPath, matchValue }: WaitRow): Pick<WaitView, 'match'> {
  if (matchExpression !== null) return { match: { expression: expressionText(matchExpression) } };
  return matchPath === '' ? {} : { match: { path: matchPath, value: JSON.parse(matchValue) as Json } };
}

const WAIT_STATUS = {
  sleep: 'sleeping',
  event: 'waiting',
  any: 'waiting',
  child: 'waiting',
  retry: 'retrying',
  decision: 'undecided',
} as const;

function waitView(row: WaitRow, earlier: readonly AttemptRow[], cutOff: readonly number[]): StepView {
  invariant(row.kind !== 'run-retry' && row.kind !== 'alternative', `a ${row.kind} is not a step`);
  return {
    id: row.stepId,
    runId: row.runId,
    name: row.name,
    type: row.kind === 'retry' && row.name.startsWith('compensate:') ? 'compensate' : stepKindOfWait[row.kind],
    status: WAIT_STATUS[row.kind],
    attempt: row.attempt,
    sequence: 0,
    startedAt: iso(row.createdAt),
    ...(row.dueAt !== null && { dueAt: iso(row.dueAt) }),
    ...(row.childRunId !== null && { childRunId: row.childRunId }),
    attempts: earlier.map(attemptView),
    ...((row.kind === 'retry' || row.kind === 'decision') && { starts: startsOf(earlier, cutOff) }),
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
