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
//   pause: queued and waiting become paused at once; running does when its worker has come to rest, or its lease ends.
//   resume: paused becomes queued, or waiting while a retry of the whole run waits. restart: failed becomes queued.
//
//   R1. Every run has a wake-up source: queued has `readyAt`, running has a lease, waiting has an open wait, paused has whoever
//       paused it, the rest have ended.
//   R2. `fence` grows with every lease, so a write under an older lease can be told.
//   R3. A run that has ended never changes again, but for what its retention and an explicit command of an operator do.
//   R4. While `pause` is set the run is given to nobody: what would queue or park it lays it to rest. What meets its waits meanwhile
//       is recorded as ever.

import { encodeJson, invariant, type JsonText } from '@ironflow/core';
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
  readonly rerunOf?: string | undefined;
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
    pause: null,
    restart: null,
    rerunOf: run.rerunOf ?? null,
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

/** The run can make progress again: its wait was met, its lease was lost or handed back. One to be paused is laid to rest (R4). */
export function queueRun(run: RunRow, now: number): RunRow {
  invariant(!isEnded(run), `a run that has ended is not queued (${run.id})`);
  if (run.pause !== null) return restRun(run, now);
  return { ...run, ...noLease, status: 'queued', readyAt: now, updatedAt: now };
}

/** Every branch waits. */
export function parkRun(run: RunRow, now: number): RunRow {
  invariant(run.status === 'running', `only a running run is parked (${run.id} is ${run.status})`);
  if (run.pause !== null) return restRun(run, now);
  invariant(run.openWaits > 0, `a waiting run has an open wait (${run.id})`);
  return { ...run, ...noLease, status: 'waiting', idleLeases: 0, updatedAt: now };
}

/** The run is paused: nobody works on it. */
export function restRun(run: RunRow, now: number): RunRow {
  invariant(run.pause !== null, `a run rests because somebody paused it (${run.id})`);
  return { ...run, ...noLease, status: 'paused', readyAt: null, idleLeases: 0, updatedAt: now };
}

/** Somebody wants the run to be paused. One that is being executed comes to rest by itself. */
export function pauseRun(run: RunRow, pause: Pause, now: number): RunRow {
  invariant(!isEnded(run), `a run that has ended is not paused (${run.id})`);
  const wanted = { ...run, pause: encodeJson(pause, `pause of run ${run.id}`), updatedAt: now };
  return run.status === 'running' ? wanted : restRun(wanted, now);
}

/** The pause is over. The run replays and comes to where it was, unless it waits for its next attempt as a whole. */
export function unpauseRun(run: RunRow, now: number): RunRow {
  const resumed = { ...run, pause: null, updatedAt: now };
  if (run.status !== 'paused') return resumed;
  return run.retryAt === null ? queueRun(resumed, now) : { ...resumed, status: 'waiting' };
}

/** Begins a run anew that has failed or is paused, with what is left of its history. The fence tells what knew more of it (R2). */
export function restartRun(
  run: RunRow,
  { policyAttempts, takesUp }: { readonly policyAttempts: number; readonly takesUp: boolean },
  now: number,
): RunRow {
  invariant(
    run.status === 'failed' || run.status === 'paused',
    `only such a run is restarted (${run.id} is ${run.status})`,
  );
  const restart: Restart = { at: now, fence: run.fence, takesUpSince: takesUp ? run.endedAt : null };
  const failed = run.status === 'failed';
  const open: RunRow = {
    ...run,
    status: 'waiting',
    pause: null,
    restart: encodeJson(restart, `restart of run ${run.id}`),
    fence: run.fence + 1,
    unseenWakes: 0,
    idleLeases: 0,
    retryAt: null,
    output: null,
    error: null,
    endedAt: null,
    ...(failed && { attempt: run.attempt + 1, maxAttempts: run.attempt + policyAttempts }),
  };
  return queueRun(open, now);
}

/** Why a run is paused, or about to be. */
export interface Pause {
  readonly at: number;
  readonly by: string;
  readonly reason: string;
}

export const pauseOf = ({ pause }: Pick<RunRow, 'pause'>): Pause | undefined =>
  pause === null ? undefined : (JSON.parse(pause) as Pause); // as pauseRun stored it

/** When a run was last restarted, and the last fence before. Attempts up to that fence count no more. */
export interface Restart {
  readonly at: number;
  readonly fence: number;
  /** Calls that were open when it failed, at this time, are not made again: their children are waited for. */
  readonly takesUpSince: number | null;
}

export const restartOf = ({ restart }: Pick<RunRow, 'restart'>): Restart | undefined =>
  restart === null ? undefined : (JSON.parse(restart) as Restart); // as restartRun stored it

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
    pause: null,
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
