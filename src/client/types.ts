import type { LocalEngine } from '@ironflow/core/wire';

export interface IronflowClientConfig {
  /** The engine's address. Default: `IRONFLOW_SERVER_URL`, else `http://localhost:9123`. */
  readonly serverUrl?: string | undefined;
  /** Default: `IRONFLOW_API_KEY`. */
  readonly apiKey?: string | undefined;
  /** How long one call may take, in milliseconds. Default 30,000. */
  readonly timeout?: number | undefined;
  /** Default: `IRONFLOW_ENV`, else that of the key, else `default`. */
  readonly environment?: string | undefined;
  /** An engine in this process, in place of a server's address. */
  readonly engine?: LocalEngine | undefined;
}

export interface EmitOptions {
  /** Version of the data's shape. Default 1. */
  readonly version?: number | undefined;
  /** The same key again gives the same event and runs, and emits nothing. */
  readonly idempotencyKey?: string | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

export interface EmitResult {
  readonly eventId: string;
  /** The runs that the event started. */
  readonly runIds: string[];
}

export interface EmitSyncOptions extends EmitOptions {
  /** How long to wait, in milliseconds. Default 30,000. */
  readonly timeout?: number | undefined;
}

/** What the function that an event started came to, or how far it is when the time was over. */
export interface SyncResult<TOutput> {
  readonly runId: string;
  readonly functionId: string;
  readonly status: string;
  readonly output: TOutput;
  readonly durationMs: number;
}

export type RunStatus =
  | 'pending'
  | 'running'
  | 'waiting'
  | 'paused'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | (string & {});

export interface RunError {
  readonly message: string;
  readonly code: string;
  readonly retryable?: boolean;
  readonly name?: string;
  readonly stack?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface Run {
  readonly id: string;
  readonly functionId: string;
  readonly functionVersion?: number;
  readonly eventId: string;
  readonly status: RunStatus;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly error?: RunError;
  /** Set while it is undone: how it will end once its compensations have run. */
  readonly ending?: { readonly status: 'failed' | 'cancelled'; readonly error: RunError };
  readonly eventName?: string;
  readonly parentRunId?: string;
  /** What it is about, by the names that its function declares. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** The run that it is another go of. */
  readonly rerunOf?: string;
  /** Somebody wants it to be paused, and a worker still finishes what it is at. */
  readonly pauseRequested?: boolean;
  readonly pauseReason?: string;
  /** Why it has not ended, in one sentence. Only in what `getRun` returns. */
  readonly why?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
}

/** A run with all that belongs to it. */
export interface RunDetail extends Run {
  readonly steps: readonly RunStep[];
  /** Attempts of the run as a whole: handlers that threw, leases that were lost. */
  readonly attempts: readonly RunAttempt[];
  /** What it waits for, the first to be over first. */
  readonly waits: readonly RunWait[];
}

export interface RunWait {
  /** Absent for a retry of the whole run. */
  readonly stepId?: string;
  readonly name?: string;
  /** `any` and, for each of its events, `alternative`: `step.waitForAny`. `decision`: `client.decideStep`. */
  readonly kind: 'sleep' | 'event' | 'any' | 'alternative' | 'child' | 'retry' | 'run-retry' | 'decision';
  readonly since: string;
  /** When it is over, or times out. */
  readonly dueAt?: string;
  readonly event?: string;
  /** The place and what is there, or the expression in CEL as the function wrote it. */
  readonly match?: { readonly path: string; readonly value: unknown } | { readonly expression: string };
  readonly childRunId?: string;
  readonly functionId?: string;
  /** For a retry: the attempt to come. */
  readonly attempt?: number;
}

export interface RunStep {
  readonly id: string;
  readonly runId: string;
  readonly name: string;
  readonly type: string;
  readonly status: string;
  readonly output?: unknown;
  readonly error?: RunError;
  readonly attempt: number;
  readonly sequence: number;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly durationMs?: number;
  readonly dueAt?: string;
  readonly childRunId?: string;
  /** When `patchStep` put another output in its place. */
  readonly patchedAt?: string;
  /** Starts of its body that are on record, each with its worker and its end. */
  readonly attempts: readonly RunAttempt[];
  /** How often its body was started: at least so often, by what is on record; at most so often, as leases were lost. */
  readonly starts?: { readonly atLeast: number; readonly atMost: number };
}

/** How a step is taken to have ended of which nobody knows, or that it shall run again. */
export type StepDecision = { readonly output: unknown } | { readonly error: string } | { readonly again: true };

export interface RunAttempt {
  readonly number: number;
  /** `dropped`: it ended the step, and a retry from an earlier step had it run again. */
  readonly outcome: 'completed' | 'failed' | 'unknown' | 'dropped';
  readonly worker?: string;
  readonly error?: RunError;
  readonly startedAt?: string;
  readonly endedAt: string;
}

/** Which runs: those that all of it fits. */
export interface RunFilter {
  readonly functionId?: string | undefined;
  readonly status?: RunStatus | undefined;
  /** Created from this time on. */
  readonly since?: Date | string | number | undefined;
  /** Created up to this time. */
  readonly until?: Date | string | number | undefined;
  /** Started by this event, or another go of such a run. */
  readonly eventId?: string | undefined;
  /** Started by an event of this name. */
  readonly eventName?: string | undefined;
  /** Called by this run. */
  readonly parentRunId?: string | undefined;
  /** It has all these attributes, which its function declares. A number or boolean is looked for as the text it is kept as. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>> | undefined;
}

export interface ListRunsOptions extends RunFilter {
  /** Runs on a page, at most 1,000. Default 50. */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

export interface RunPage {
  readonly runs: Run[];
  readonly nextCursor?: string;
  readonly totalCount: number;
}

export type BulkAction = 'cancel' | 'pause' | 'resume' | 'retry';

export interface BulkOptions {
  readonly reason?: string | undefined;
  /** Called with the state of things after each page of runs. */
  readonly onProgress?: ((progress: BulkProgress) => void) | undefined;
  /** Runs of one page, at most 500. Default 500. */
  readonly pageSize?: number | undefined;
  /** Stops after the page that is under way. */
  readonly signal?: AbortSignal | undefined;
}

export interface BulkProgress {
  /** Runs that the filter fitted at the beginning. */
  readonly totalCount: number;
  readonly done: number;
  /** Runs whose status forbade it, or changed meanwhile. */
  readonly refused: number;
  /** The first of them, at most 100. */
  readonly refusals: readonly { readonly runId: string; readonly code: string; readonly message: string }[];
}

/** One entry of an audit trail. */
export interface AuditEntry {
  readonly id: string;
  readonly runId: string;
  readonly functionId: string;
  readonly stepId?: string;
  /** What happened, for example `run.paused`. */
  readonly eventType: string;
  /** Who did it: `in-process`, `anonymous`, or `key` and the beginning of the key's hash. Absent where the run itself did. */
  readonly actor?: string;
  readonly reason?: string;
  readonly payload?: unknown;
  readonly createdAt: string;
}

export interface AuditTrailOptions {
  readonly eventType?: string | undefined;
  readonly since?: Date | string | number | undefined;
  readonly until?: Date | string | number | undefined;
  /** Entries on a page, at most 1,000. Default 50. */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

export interface AuditPage {
  readonly entries: AuditEntry[];
  readonly nextCursor?: string;
  readonly totalCount: number;
}

export interface FunctionInfo {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly status: string;
  readonly preferredMode: string;
  readonly [field: string]: unknown;
}

export interface WorkerInfo {
  readonly id: string;
  readonly hostname: string;
  readonly function_ids: string[];
  readonly max_concurrent: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly active_jobs: number;
  readonly registered_at: string;
  readonly last_heartbeat: string;
  readonly transport: string;
}

/** What `registerFunction` sends; see the reference of function configuration for each field. */
export interface RegisterFunctionRequest {
  readonly id: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly triggers?:
    | readonly { readonly event?: string; readonly expression?: string; readonly cron?: string }[]
    | undefined;
  readonly retry?:
    | {
        readonly maxAttempts?: number;
        readonly initialDelayMs?: number;
        readonly backoffFactor?: number;
        readonly maxDelayMs?: number;
      }
    | undefined;
  readonly timeoutMs?: number | undefined;
  readonly concurrency?: { readonly limit: number; readonly key?: string } | undefined;
  readonly preferredMode?: 'push' | 'pull' | undefined;
  /** Where the engine calls the function in push mode. */
  readonly endpointUrl?: string | undefined;
  readonly actorKey?: string | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

export interface PublishOptions {
  /** The caller's name for this message: the same name publishes it once. */
  readonly idempotencyKey?: string | undefined;
}

export interface PublishResult {
  readonly eventId: string;
  /** Number of the message in its topic, from 1 and without gaps. */
  readonly sequence: number;
}

export interface TopicInfo {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
  readonly firstMessageAt: string;
  readonly lastMessageAt: string;
}

export interface TopicStats {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
  /** Messages that consumers have yet to take; without consumers all. */
  readonly lag: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}
