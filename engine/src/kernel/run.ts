// Run: one execution of one function version, as a row and the transitions between its states.
//
//            create
//              │
//          ┌───▼────┐ lease  ┌─────────┐ end   ┌──────────────────────────────────┐
//   ┌─────►│ queued ├───────►│ running ├──────►│ completed │ failed │ cancelled   │
//   │      └───▲────┘        └──┬───┬──┘       └──────────────────────────────────┘
//   │          └── lease lost ──┘   │ every branch waits           ▲
//   │      ┌─────────┐              │                              │ cancel, from any state
//   └──────┤ waiting │◄─────────────┘──────────────────────────────┘
//  met     └─────────┘
//
// A run that is to be undone (its `ending` is set) goes through the same states: its lease replays it for what it registered,
// and runs its compensations; its waits are theirs alone; it ends as `ending` says.
//
//   R1. Every run has a wake-up source: queued has `readyAt`, running has a lease, waiting has an open wait, the rest have ended.
//   R2. `fence` grows with every lease, so a write under an older lease can be told.
//   R3. A run that has ended never changes again, but for what its retention and an explicit command of an operator do.

import { invariant, type JsonText } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { RunRow, RunStatus } from '../store/tables.ts';

export interface NewRun {
  readonly id: string;
  readonly env: string;
  readonly functionId: string;
  readonly functionVersion: number;
  readonly maxAttempts: number;
  readonly eventId: string;
  readonly eventName: string;
  /** For an invoked run; an event's data stays with the event. */
  readonly input: JsonText | null;
  readonly parent: { readonly runId: string; readonly stepId: string } | null;
}

export interface Lease {
  readonly sessionId: string;
  readonly token: string;
}

export function createRun(run: NewRun, now: number): RunRow {
  return {
    id: run.id,
    env: run.env,
    functionId: run.functionId,
    functionVersion: run.functionVersion,
    status: 'queued',
    eventId: run.eventId,
    eventName: run.eventName,
    input: run.input,
    parentRunId: run.parent?.runId ?? null,
    parentStepId: run.parent?.stepId ?? null,
    logPosition: 0, // stamped by the commit
    attempt: 1,
    maxAttempts: run.maxAttempts,
    readyAt: now,
    leaseSession: null,
    leaseToken: null,
    leasedAt: null,
    deadlineAt: null,
    fence: 0,
    wakes: 0,
    openWaits: 0,
    unseenWakes: 0,
    retryAt: null,
    idleLeases: 0,
    output: null,
    error: null,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    updatedAt: now,
    ending: null,
  };
}

/** Gives the run to a session. It must be able to make progress. */
export function leaseRun(run: RunRow, lease: Lease, timeoutMs: number, now: number): RunRow {
  invariant(run.status === 'queued', `only a queued run is leased (${run.id} is ${run.status})`);
  return {
    ...run,
    status: 'running',
    readyAt: null,
    leaseSession: lease.sessionId,
    leaseToken: lease.token,
    leasedAt: now,
    deadlineAt: now + timeoutMs,
    fence: run.fence + 1,
    unseenWakes: 0,
    startedAt: run.startedAt ?? now,
    updatedAt: now,
  };
}

const noLease = { leaseSession: null, leaseToken: null, leasedAt: null, deadlineAt: null } as const;

/** The run can make progress again: its wait was met, its lease was lost or handed back. */
export function queueRun(run: RunRow, now: number): RunRow {
  invariant(!isEnded(run), `a run that has ended is not queued (${run.id})`);
  return { ...run, ...noLease, status: 'queued', readyAt: now, updatedAt: now };
}

/** Every branch waits. */
export function parkRun(run: RunRow, now: number): RunRow {
  invariant(run.status === 'running', `only a running run is parked (${run.id} is ${run.status})`);
  invariant(run.openWaits > 0, `a waiting run has an open wait (${run.id})`);
  return { ...run, ...noLease, status: 'waiting', idleLeases: 0, updatedAt: now };
}

export type RunEnd =
  | { readonly status: 'completed'; readonly output: JsonText }
  | { readonly status: 'failed'; readonly error: JsonText }
  | { readonly status: 'cancelled'; readonly error: JsonText };

export function endRun(run: RunRow, end: RunEnd, now: number): RunRow {
  invariant(!isEnded(run), `a run ends once (${run.id} is ${run.status})`);
  return {
    ...run,
    ...noLease,
    status: end.status,
    readyAt: null,
    openWaits: 0,
    retryAt: null,
    ending: null,
    output: end.status === 'completed' ? end.output : null,
    error: end.status === 'completed' ? null : end.error,
    endedAt: now,
    updatedAt: now,
  };
}

/** How a run will end once it has been undone: decided, and not to be changed by what its compensations come to. */
export interface RunEnding {
  readonly status: 'failed' | 'cancelled';
  readonly error: Failure;
}

export function endingOf(run: Pick<RunRow, 'ending'>): RunEnding | undefined {
  return run.ending === null ? undefined : (JSON.parse(run.ending) as RunEnding); // as beginEnding stored it
}

export function isEnded(run: { readonly status: RunStatus }): boolean {
  return run.status === 'completed' || run.status === 'failed' || run.status === 'cancelled';
}

// A job is one lease of one run, named so that the name alone leads back to both.

export function jobIdOf(runId: string, fence: number): string {
  return `${runId}.${fence}`;
}

export function parseJobId(jobId: string): { readonly runId: string; readonly fence: number } | undefined {
  const dot = jobId.lastIndexOf('.');
  const fence = Number(jobId.slice(dot + 1));
  if (dot <= 0 || !Number.isSafeInteger(fence) || fence < 1) return undefined;
  return { runId: jobId.slice(0, dot), fence };
}
