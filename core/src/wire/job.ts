// What passes between a worker and the engine while a job runs, whatever carries it. A transport translates to and from these.

import { decodeJson, encodeJson, type Json, type JsonText } from '../json.ts';
import type { Redactor } from '../redaction.ts';
import type { RetryPolicy } from '../retry.ts';

/** JSON on its way: as text, or already parsed by the transport that read it. Parsed or written at most once. */
export type Payload = { readonly text: JsonText } | { readonly value: Json };

export function payloadText(payload: Payload): JsonText {
  return 'text' in payload ? payload.text : encodeJson(payload.value, 'payload');
}

export function payloadValue(payload: Payload): Json {
  return 'text' in payload ? decodeJson(payload.text) : payload.value;
}

export type StepKind =
  | 'run'
  | 'sleep'
  | 'wait_for_event'
  | 'wait_for_any'
  | 'invoke'
  | 'invoke_async'
  | 'publish'
  | 'compensate';

/** An error as it is stored and sent. */
export interface Failure {
  readonly message: string;
  readonly code: string;
  readonly retryable: boolean;
  /** Name of the error's class. */
  readonly name?: string | undefined;
  readonly stack?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** The error's own wish for the next attempt, in milliseconds; it overrides the policy's delay. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * One finished step of a run's memo. (wake, sequence) orders the entries as their results reached the function: `wake` is
 * how many waits had been met by then; `sequence` numbers what the worker recorded. A met wait has sequence 0.
 */
export interface MemoEntry {
  readonly stepId: string;
  readonly name: string;
  /** Undefined where the engine does not record kinds. */
  readonly kind?: StepKind | undefined;
  readonly status: 'completed' | 'failed' | 'timed_out';
  readonly output?: Payload | undefined;
  readonly error?: Failure | undefined;
  readonly wake: number;
  readonly sequence: number;
}

/** A wait that is not met yet: its branch stays parked. */
export interface OpenWait {
  readonly stepId: string;
  readonly kind: 'sleep' | 'event' | 'any' | 'child' | 'retry' | 'decision';
  readonly dueAt: number | null;
}

/** What an open wait is recorded as; a step that waits for its next attempt, or for a decision, is one that runs. */
export const stepKindOfWait: Readonly<Record<OpenWait['kind'], StepKind>> = {
  sleep: 'sleep',
  event: 'wait_for_event',
  any: 'wait_for_any',
  child: 'invoke',
  retry: 'run',
  decision: 'run',
};

export interface JobEvent {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly data: Payload;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly source?: string | undefined;
  readonly metadata?: Payload | undefined;
}

/** A lease on a run, with all that is needed to execute it from anywhere. */
export interface Assignment {
  readonly jobId: string;
  readonly runId: string;
  readonly functionId: string;
  /** Attempt of the run, from 1. */
  readonly attempt: number;
  readonly event: JobEvent;
  /** In the order of (wake, sequence). */
  readonly memo: readonly MemoEntry[];
  /** Steps that have failed before: the number of the attempt that is next. */
  readonly attempts: readonly { readonly stepId: string; readonly attempt: number }[];
  readonly waits: readonly OpenWait[];
  /** Waits met so far. */
  readonly wakes: number;
  /** Highest sequence recorded so far. */
  readonly sequence: number;
  readonly fence: number;
  readonly leaseToken: string;
  /** What is left of the function's timeout, in milliseconds; undefined where the engine does not say. */
  readonly timeLeftMs?: number | undefined;
  /** Values of the secrets that the function declares, as far as there are any; absent when it declares none. */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  /** Set when the run is to be undone: it will end with this, once its compensations have run. Nothing else of it starts. */
  readonly ending?: Failure | undefined;
}

/**
 * A lease on a run whose suspended execution its worker keeps (`Report.kept`): what has happened since, in place of all. A worker that
 * keeps it no longer asks for the assignment instead.
 */
export interface Continuation {
  readonly jobId: string;
  readonly runId: string;
  readonly functionId: string;
  readonly fence: number;
  readonly leaseToken: string;
  readonly timeLeftMs: number;
  /** The waits that were met after those that the execution had seen, in order. */
  readonly resolutions: readonly Resolution[];
}

/** A lease, as it is handed to a worker. */
export type JobOffer = Assignment | Continuation;

export function isContinuation(offer: JobOffer): offer is Continuation {
  return 'resolutions' in offer;
}

/** A body that is about to start, of a step that must not be started again while nobody knows how that ended. */
export interface StepStart {
  readonly stepId: string;
  readonly name: string;
  readonly attempt: number;
  readonly startedAt: number;
}

export interface StepRecord {
  readonly stepId: string;
  readonly name: string;
  readonly kind: 'run' | 'publish' | 'compensate';
  readonly status: 'completed' | 'failed';
  readonly output?: Payload | undefined;
  readonly error?: Failure | undefined;
  /** Of a failed step that has a retry policy of its own. */
  readonly retry?: RetryPolicy | undefined;
  /** Attempt of the step, from 1. */
  readonly attempt: number;
  readonly wake: number;
  readonly sequence: number;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Its start is on record: this is how it ended. */
  readonly hasStart?: boolean | undefined;
}

interface WaitBase {
  readonly stepId: string;
  readonly name: string;
  readonly wake: number;
  readonly sequence: number;
}

/** One of the events that a wait for any of several takes. */
export interface Alternative {
  /** What the function calls it. */
  readonly key: string;
  readonly event: string;
  readonly match?: string | undefined;
}

export type WaitRequest = WaitBase &
  (
    | { readonly kind: 'sleep'; readonly until: number }
    | {
        readonly kind: 'wait_for_event';
        readonly event: string;
        readonly match?: string | undefined;
        readonly timeoutMs: number;
      }
    | { readonly kind: 'wait_for_any'; readonly alternatives: readonly Alternative[]; readonly timeoutMs: number }
    | {
        readonly kind: 'invoke';
        readonly functionId: string;
        readonly input: Payload;
        readonly timeoutMs: number;
        /** The called run goes on when the calling one is cancelled. */
        readonly childStays?: boolean | undefined;
      }
    | { readonly kind: 'invoke_async'; readonly functionId: string; readonly input: Payload }
    /** Waits for nothing: the message is stored with the step, and the answer brings its id and sequence. */
    | { readonly kind: 'publish'; readonly topic: string; readonly data: Payload }
  );

export type JobEnd =
  | { readonly status: 'completed'; readonly output: Payload }
  | { readonly status: 'failed'; readonly error: Failure }
  /** Every branch waits. */
  | { readonly status: 'suspended' };

/** What a worker tells of one job: everything in it is stored together or refused together. */
export interface Report {
  readonly jobId: string;
  readonly fence: number;
  readonly leaseToken: string;
  /** How many of the run's wakes the worker knows. */
  readonly seenWakes: number;
  readonly records: readonly StepRecord[];
  readonly waits: readonly WaitRequest[];
  readonly starts?: readonly StepStart[] | undefined;
  readonly end?: JobEnd | undefined;
  /** The suspended execution stays in the worker's memory: a later lease on its run may come as a continuation. */
  readonly kept?: boolean | undefined;
  /** Suspended because the run is to be paused: what could have begun was not begun, and no wait stands for it. */
  readonly paused?: boolean | undefined;
  /**
   * In place of an end: the function has failed, and has compensations to run. The answer says `ended` when the run gets another
   * attempt instead; otherwise the lease stands, and the end follows once they have run.
   */
  readonly failing?: Failure | undefined;
}

/** News for a branch that waits: its step has ended, or its next attempt may start. */
export type Resolution =
  | { readonly kind: 'settled'; readonly wake: number; readonly entry: MemoEntry }
  | { readonly kind: 'retry'; readonly wake: number; readonly stepId: string; readonly attempt: number };

export type ReportAnswer =
  | {
      readonly status: 'accepted';
      /** Whether the job is over. False after `suspended` when a wait was met that the worker had not seen: go on. */
      readonly ended: boolean;
      /** Failed steps that get another attempt. A failed step that is not here has failed for good. */
      readonly retries: readonly { readonly stepId: string; readonly attempt: number; readonly dueAt: number }[];
      /** What the worker had not seen, in order. */
      readonly resolutions: readonly Resolution[];
      /** The run is to be paused: start no more bodies, and report `suspended` when those that run are on record. */
      readonly pausing?: boolean | undefined;
    }
  /** Nothing was stored, and nothing will be: the lease is lost, or the run is over. Drop the job. */
  | { readonly status: 'refused'; readonly code: string; readonly message: string };

/** What a worker tells of itself. */
export interface WorkerHello {
  readonly workerId: string;
  readonly hostname: string;
  readonly functionIds: readonly string[];
  /** Versions as the engine gave them at registration of the functions, where the worker knows them. */
  readonly functionVersions: Readonly<Record<string, number>>;
  readonly jobsMax: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly version: { readonly sdk: string; readonly runtime: string };
  readonly capabilities: readonly string[];
  readonly heartbeatMs?: number | undefined;
  /** How many suspended executions the worker keeps in memory, at most. Undefined where it does not say. */
  readonly executionsKept?: number | undefined;
  /** How many heartbeats the worker has sent, where it counts them. */
  readonly beat?: number | undefined;
}

/**
 * The part of a lease in which its worker relies on it, counted from when it sent the heartbeat that was confirmed. The rest is for engines
 * whose clocks differ: one that is ahead of the others ends a lease that much sooner.
 */
export const usableLease = 2 / 3;

/**
 * What our worker and our engine can do beyond the published contract; each side names what it can, and only what both
 * name is used.
 *   steps: records carry kind, attempt and order; the engine retries steps and answers with retries and resolutions.
 *   memo-failures: a failed step, a timed-out wait or a failed child comes back as a memo entry that can be caught.
 *   batch: reports of many jobs in one request.
 */
export const capabilities = ['steps', 'memo-failures', 'batch'] as const;
/**
 * The same on a stream:
 *   frames: `WorkerFrame` and `EngineFrame` in place of the contract's messages, after the registration.
 */
export const streamCapabilities = ['steps', 'memo-failures', 'frames'] as const;
export type Capability = (typeof capabilities)[number] | (typeof streamCapabilities)[number];

/** The payload with *** in the place of secrets. */
export function redactedPayload(payload: Payload, redactor: Redactor): Payload {
  const text = payloadText(payload);
  const redacted = redactor.json(text);
  return redacted === text ? payload : { text: redacted };
}

/** The failure with *** in the place of secrets, wherever in it they are. */
export function redactedFailure(failure: Failure, redactor: Pick<Redactor, 'json'>): Failure {
  return JSON.parse(redactor.json(encodeJson(failure, 'error'))) as Failure; // as it was, but for text
}
