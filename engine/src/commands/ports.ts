// What commands need beside their transaction. `Outside` is all that happens outside the database; but for `reserve`, which
// only takes note, it is called after the commit.

import type { JobEvent, Resolution } from '@ironflow/core/wire';
import type { RunRow } from '../store/tables.ts';
import type { FunctionCatalog } from './function-catalog.ts';
import type { SecretVault } from './secret-vault.ts';

export interface QueueName {
  readonly env: string;
  readonly functionId: string;
  readonly version: number;
}

/** Room for one job on a session that is connected here. */
export interface Reservation {
  readonly sessionId: string;
  release(): void;
}

export interface Outside {
  /** Takes note of room for a run, where there is some: with the worker that keeps its execution, if it can. */
  reserve(queue: QueueName, runId: string): Reservation | undefined;
  /** A run was leased under this reservation. `event` saves reading it again. */
  leased(reservation: Reservation, run: RunRow, event: JobEvent | undefined): void;
  /** A run was queued. */
  queued(queue: QueueName): void;
  /** A wait of this run is due at this time. */
  waitDueAt(runId: string, dueAt: number): void;
  /** A lease runs into its function's timeout at this time. */
  deadlineAt(runId: string, deadlineAt: number): void;
  sessionExpiresAt(sessionId: string, expiresAt: number): void;
  /** A session turned out to be marked expired: it is not to be given jobs until it registers or is heard of again. */
  sessionExpired(sessionId: string): void;
  /** A wait for an event was stored, after the log had been searched up to some position. */
  eventWaitBegun(wait: EventWait): void;
  eventAppended(env: string, position: number, event: JobEvent): void;
  /** A wait of a run that is being executed was met. */
  resolved(run: RunRow, resolution: Resolution): void;
  /** A lease was given up: the session has room again. */
  jobEnded(sessionId: string, jobId: string): void;
  /** A lease was taken away: the session must drop the job. */
  jobRevoked(sessionId: string, jobId: string, code: string, message: string): void;
  runEnded(run: RunRow): void;
  functionsChanged(env: string): void;
  /** An idempotency key, or a value that a secret had, may be forgotten at this time. */
  keyExpiresAt(expiresAt: number): void;
}

export interface EventWait {
  readonly runId: string;
  readonly stepId: string;
  readonly env: string;
  readonly eventName: string;
  readonly matchPath: string;
  /** Events up to this position have been looked at. */
  readonly searchedTo: number;
}

export interface Settings {
  /** How long an idempotency key is kept, in milliseconds. */
  readonly idempotencyRetentionMs: number;
  /** How long a run is kept after its end, in milliseconds; undefined keeps it for ever. */
  readonly runRetentionMs: number | undefined;
}

export interface CommandPorts {
  readonly functions: FunctionCatalog;
  readonly secrets: SecretVault;
  readonly outside: Outside;
  readonly settings: Settings;
}
