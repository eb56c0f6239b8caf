// The declared tables. Each says what a row is; `docs/reference/tables.md` says it for operators.

import type { JsonText } from '@ironflow/core';
import type { StepKind } from '@ironflow/core/wire';
import { boolean, integer, json, log, nullable, type Table, table, text } from './table.ts';

/** One version of what a user registered; `current` is the newest. */
export const functions = table({
  name: 'functions',
  columns: {
    env: text({ immutable: true }),
    id: text({ immutable: true }),
    version: integer(),
    definition: json<JsonText>(),
    /** Hash of the definition and of the handler's code, as announced. */
    hash: text(),
    mode: text<'push' | 'pull'>(),
    status: text<'active' | 'paused' | 'archived'>(),
    createdAt: integer({ immutable: true }),
    updatedAt: integer(),
  },
  key: ['env', 'id'],
});

export const functionVersions = table({
  name: 'function_versions',
  columns: {
    env: text({ immutable: true }),
    functionId: text({ immutable: true }),
    version: integer({ immutable: true }),
    definition: json<JsonText>({ immutable: true }),
    hash: text({ immutable: true }),
    createdAt: integer({ immutable: true }),
  },
  key: ['env', 'functionId', 'version'],
  indexes: { byHash: { columns: ['env', 'functionId', 'hash'] } },
});

/** One row an environment, rewritten with every change of its functions: what caches of them are guarded by. */
export const registries = table({
  name: 'registries',
  columns: { env: text({ immutable: true }), changes: integer() },
  key: ['env'],
});

/** An engine that serves this store together with others. One that owns its store has no row. */
export const engines = table({
  name: 'engines',
  columns: {
    id: text({ immutable: true }),
    startedAt: integer({ immutable: true }),
    /** When it is taken to be gone unless it is heard of before. */
    expiresAt: integer(),
    /** What it had begun when it fell silent has been followed up. */
    takenOver: boolean(),
  },
  key: ['id'],
});

/** A worker's presence. Its leases end when it expires. */
export const sessions = table({
  name: 'sessions',
  columns: {
    id: text({ immutable: true }),
    env: text({ immutable: true }),
    transport: text<SessionTransport>(),
    hostname: text(),
    /** JSON object: function id to the version the worker has, or null when it did not say. */
    functions: json<JsonText>(),
    jobsMax: integer(),
    labels: json<JsonText>(),
    version: json<JsonText>(),
    capabilities: json<JsonText>(),
    /** Which engine process owns a session that lives inside it (in-process workers, push); null for the others. */
    engineId: nullable(text()),
    leaseMs: integer(),
    registeredAt: integer(),
    heartbeatAt: integer(),
    /** When its leases end unless it is heard of before; null once they have all been taken from it. */
    expiresAt: nullable(integer()),
    /** Its time is over: it gets no more leases until it is heard of again. */
    expired: boolean(),
    /** Which of its heartbeats was the latest, as its worker counts them; null where it does not. */
    beat: nullable(integer()),
  },
  key: ['id'],
  indexes: {
    byExpiry: { columns: ['expiresAt', 'id'], sparse: 'expiresAt' },
    byEnv: { columns: ['env', 'id'] },
  },
});
export type SessionTransport = 'polling' | 'streaming' | 'push' | 'in-process';

/** Every event of an environment, in the order of its log. */
export const events = log({
  name: 'events',
  columns: {
    env: text(),
    position: integer(),
    id: text(),
    name: text(),
    version: integer(),
    data: json<JsonText>(),
    metadata: nullable(json<JsonText>()),
    source: nullable(text()),
    /** The run that emitted it, if one did. */
    runId: nullable(text()),
    createdAt: integer(),
  },
  key: ['env', 'position'],
  indexes: {
    byId: { columns: ['id'], unique: true },
    byName: { columns: ['env', 'name', 'position'] },
  },
});

/** A caller's name for an intention, and what came of it. */
export const idempotencyKeys = table({
  name: 'idempotency_keys',
  columns: {
    env: text({ immutable: true }),
    scope: text({ immutable: true }),
    key: text({ immutable: true }),
    outcome: json<JsonText>(),
    expiresAt: integer(),
  },
  key: ['env', 'scope', 'key'],
  indexes: { byExpiry: { columns: ['expiresAt', 'env', 'scope', 'key'] } },
});

export type RunStatus = 'queued' | 'running' | 'waiting' | 'paused' | 'completed' | 'failed' | 'cancelled';

/** One execution of one function version. */
export const runs = table({
  name: 'runs',
  columns: {
    id: text({ immutable: true }),
    env: text({ immutable: true }),
    functionId: text({ immutable: true }),
    functionVersion: integer(),
    status: text<RunStatus>(),
    /** The event that started it. For an invoked run: an id and name of its own, with `input` in place of an event row. */
    eventId: text({ immutable: true }),
    eventName: text({ immutable: true }),
    input: nullable(json<JsonText>({ immutable: true })),
    parentRunId: nullable(text({ immutable: true })),
    parentStepId: nullable(text({ immutable: true })),
    /** Head of the event log when it started: its waits look at what came after. */
    logPosition: integer({ immutable: true }),
    attempt: integer(),
    /** The last of its attempts; a restart raises it. */
    maxAttempts: integer(),
    /** Set while queued: from when on it may be claimed. */
    readyAt: nullable(integer()),
    /** Set while running: who holds its lease. */
    leaseSession: nullable(text()),
    leaseToken: nullable(text()),
    leasedAt: nullable(integer()),
    /** When the running execution has used up the function's timeout. */
    deadlineAt: nullable(integer()),
    /** Raised by every lease; writes that carry an older one are refused. */
    fence: integer(),
    /** How many of its waits have been met so far. */
    wakes: integer(),
    openWaits: integer(),
    /** Those of its wakes that came while it was leased: a worker that cannot be told must come again for them. */
    unseenWakes: integer(),
    /** Set while a failed attempt of the whole run waits for the next: until then no wait that is met makes it ready. */
    retryAt: nullable(integer()),
    /** Leases in a row that neither recorded nor began anything. */
    idleLeases: integer(),
    output: nullable(json<JsonText>()),
    error: nullable(json<JsonText>()),
    createdAt: integer({ immutable: true }),
    startedAt: nullable(integer()),
    endedAt: nullable(integer()),
    updatedAt: integer(),
    /** Set while the run is undone: how it will end once its compensations have run (kernel/run.ts, RunEnding). */
    ending: nullable(json<JsonText>()),
    /** Who asked for it to be paused, when and why (kernel/run.ts); null when nobody does. */
    pause: nullable(json<JsonText>()),
    /** How it was last restarted after its end (kernel/run.ts); null when it never was. */
    restart: nullable(json<JsonText>()),
    /** The run that it is another go of. */
    rerunOf: nullable(text({ immutable: true })),
  },
  key: ['id'],
  indexes: {
    byEnv: { columns: ['env', 'id'] },
    byFunction: { columns: ['env', 'functionId', 'id'] },
    byStatus: { columns: ['env', 'status', 'id'] },
    byReady: { columns: ['env', 'functionId', 'functionVersion', 'readyAt', 'id'], sparse: 'readyAt' },
    bySession: { columns: ['leaseSession', 'id'], sparse: 'leaseSession' },
    byDeadline: { columns: ['deadlineAt', 'id'], sparse: 'deadlineAt' },
    byParent: { columns: ['parentRunId', 'id'], sparse: 'parentRunId' },
    byEnd: { columns: ['endedAt', 'id'], sparse: 'endedAt' },
  },
});

export type StepStatus = 'completed' | 'failed' | 'timed_out';

/** One memoized result. Rows are inserted once; only an operator's command changes one (a patch) or removes it (a restart). */
export const steps = table({
  name: 'steps',
  columns: {
    runId: text({ immutable: true }),
    stepId: text({ immutable: true }),
    name: text({ immutable: true }),
    kind: text<StepKind>({ immutable: true }),
    status: text<StepStatus>(),
    output: nullable(json<JsonText>()),
    error: nullable(json<JsonText>()),
    /** Number of the attempt that ended it. */
    attempt: integer(),
    /** (wake, sequence) is the order in which results reached the function, kept for replay. */
    wake: integer({ immutable: true }),
    sequence: integer({ immutable: true }),
    /** For a wait: which of the run's wakes its end was. */
    resolution: nullable(integer({ immutable: true })),
    /** The lease under which it was recorded; 0 when the engine itself did (a wait). */
    fence: integer({ immutable: true }),
    startedAt: integer({ immutable: true }),
    endedAt: integer({ immutable: true }),
    childRunId: nullable(text({ immutable: true })),
    /** For a message that was published: its sequence in the topic. */
    position: nullable(integer({ immutable: true })),
    /** The worker whose attempt ended it; null when the engine did, and where it is not known. */
    sessionId: nullable(text({ immutable: true })),
    /** When an operator put another output in its place. */
    patchedAt: nullable(integer()),
  },
  key: ['runId', 'stepId'],
  indexes: { byResolution: { columns: ['runId', 'resolution'], sparse: 'resolution' } },
});

/**
 * An attempt that did not end its step: it failed, or its lease ended and nobody knows how far it came. (The attempt that
 * ended the step is in the step's own row.) With an empty step id: a lease that was lost; every step not recorded by then
 * may have been started under it. One of a step that must not run twice is there from its start on, with the outcome `unknown`, until
 * its end is recorded.
 * `dropped`: it ended the step, and an operator had the step run again.
 */
export const attempts = table({
  name: 'attempts',
  columns: {
    runId: text({ immutable: true }),
    stepId: text({ immutable: true }),
    number: integer({ immutable: true }),
    name: text({ immutable: true }),
    fence: integer({ immutable: true }),
    sessionId: nullable(text({ immutable: true })),
    outcome: text<AttemptOutcome>({ immutable: true }),
    error: nullable(json<JsonText>({ immutable: true })),
    startedAt: nullable(integer({ immutable: true })),
    endedAt: integer({ immutable: true }),
  },
  key: ['runId', 'stepId', 'number'],
});

export type AttemptOutcome = 'failed' | 'unknown' | 'dropped';

/** `any` waits for whichever of its alternatives comes first; each of these is a row of its own, and they leave together. */
export type WaitKind = 'sleep' | 'event' | 'any' | 'alternative' | 'child' | 'retry' | 'run-retry' | 'decision';

/** Something durable that a run waits for. It leaves when it is met; a retry leaves with the attempt it allowed. */
export const waits = table({
  name: 'waits',
  columns: {
    runId: text({ immutable: true }),
    stepId: text({ immutable: true }),
    env: text({ immutable: true }),
    name: text({ immutable: true }),
    kind: text<WaitKind>({ immutable: true }),
    /** For sleeps and retries when they are over, for events and children when they time out. */
    dueAt: nullable(integer()),
    eventName: nullable(text({ immutable: true })),
    /** The place in the event that is compared, and what it must equal (canonical JSON); both empty for any event. */
    matchPath: text({ immutable: true }),
    matchValue: text({ immutable: true }),
    /** A hash of all that an event must have to meet the wait (kernel/match-key.ts); null for waits of other kinds. */
    matchKey: nullable(text({ immutable: true })),
    /** The log has been searched up to here; only events after it can meet the wait. */
    fromPosition: integer({ immutable: true }),
    childRunId: nullable(text({ immutable: true })),
    functionId: nullable(text({ immutable: true })),
    /** For a retry: the number of the attempt to come. */
    attempt: integer(),
    /** For a retry that is due: which of the run's wakes that was. */
    resolution: nullable(integer()),
    /** Whether the worker can be told of a failure; where it cannot, a timeout or a failed child fails the run. */
    failable: boolean({ immutable: true }),
    wake: integer({ immutable: true }),
    sequence: integer({ immutable: true }),
    createdAt: integer({ immutable: true }),
    /** What an event must meet beyond that: an expression, with what it needs of the run (kernel/wait-match.ts). */
    matchExpression: nullable(json<JsonText>({ immutable: true })),
    /** For an alternative: the step of kind `any` that it belongs to; its name is what the function calls it. */
    anyOf: nullable(text({ immutable: true })),
    /** For a child: true when it goes on though this run is cancelled. */
    childStays: nullable(boolean({ immutable: true })),
  },
  key: ['runId', 'stepId'],
  indexes: {
    byDue: { columns: ['dueAt', 'runId', 'stepId'], sparse: 'dueAt' },
    byEvent: { columns: ['matchKey', 'runId', 'stepId'], sparse: 'matchKey' },
    byResolution: { columns: ['runId', 'resolution'], sparse: 'resolution' },
  },
});

/** Which events are waited for, and the places in them that are compared, so that an event knows what to look up. */
export const matchPaths = table({
  name: 'match_paths',
  columns: { env: text({ immutable: true }), eventName: text({ immutable: true }), path: text({ immutable: true }) },
  key: ['env', 'eventName', 'path'],
});

/** Every message of a topic, in the order of its log: `position` is its sequence. */
export const topicMessages = log({
  name: 'topic_messages',
  columns: {
    env: text(),
    topic: text(),
    position: integer(),
    id: text(),
    data: json<JsonText>(),
    /** The run whose step published it, if one did. */
    runId: nullable(text()),
    createdAt: integer(),
  },
  key: ['env', 'topic', 'position'],
  indexes: { byId: { columns: ['id'], unique: true } },
});

/** What happened to a run by somebody's will, and who willed it; for a function that is recorded, also what it did itself. */
export const runAudit = table({
  name: 'run_audit',
  columns: {
    runId: text({ immutable: true }),
    id: text({ immutable: true }),
    env: text({ immutable: true }),
    functionId: text({ immutable: true }),
    stepId: nullable(text({ immutable: true })),
    type: text({ immutable: true }),
    /** Who did it; null for the run itself. */
    actor: nullable(text({ immutable: true })),
    reason: nullable(text({ immutable: true })),
    payload: nullable(json<JsonText>({ immutable: true })),
    createdAt: integer({ immutable: true }),
    /** When it leaves, whatever becomes of the run; null when it leaves with the run. */
    expiresAt: nullable(integer()),
  },
  key: ['runId', 'id'],
  indexes: {
    byEnv: { columns: ['env', 'id'] },
    byExpiry: { columns: ['expiresAt', 'runId', 'id'], sparse: 'expiresAt' },
  },
});

/** What a run is about, by a name that its function declares. Rows are inserted with their run, and leave with it. */
export const runAttributes = table({
  name: 'run_attributes',
  columns: {
    runId: text({ immutable: true }),
    name: text({ immutable: true }),
    env: text({ immutable: true }),
    value: text({ immutable: true }),
  },
  key: ['runId', 'name'],
  indexes: { byValue: { columns: ['env', 'name', 'value', 'runId'] } },
});

/** How far a reader of a log has come. */
export const cursors = table({
  name: 'cursors',
  columns: { env: text({ immutable: true }), name: text({ immutable: true }), position: integer() },
  key: ['env', 'name'],
});

/** A value of a secret, sealed. The highest number of a name is the current one, unless it is retired. */
export const secrets = table({
  name: 'secrets',
  columns: {
    env: text({ immutable: true }),
    name: text({ immutable: true }),
    number: integer({ immutable: true }),
    /** Which key it is sealed with. */
    keyId: text(),
    sealed: text(),
    createdAt: integer({ immutable: true }),
    /** When it was replaced or removed. It is kept for a while, to find the value in what is reported still. */
    retiredAt: nullable(integer()),
  },
  key: ['env', 'name', 'number'],
  indexes: { byRetirement: { columns: ['retiredAt', 'env', 'name', 'number'], sparse: 'retiredAt' } },
});

type RowTypeOf<T> = T extends Table<infer R> ? R : never;
export type SessionRow = RowTypeOf<typeof sessions>;
export type EventRow = RowTypeOf<typeof events>;
export type RunRow = RowTypeOf<typeof runs>;
export type StepRow = RowTypeOf<typeof steps>;
export type AttemptRow = RowTypeOf<typeof attempts>;
export type WaitRow = RowTypeOf<typeof waits>;
export type SecretRow = RowTypeOf<typeof secrets>;
export type RunAuditRow = RowTypeOf<typeof runAudit>;
export type RunAttributeRow = RowTypeOf<typeof runAttributes>;

export const tables: readonly Table[] = [
  functions,
  functionVersions,
  registries,
  engines,
  sessions,
  events,
  idempotencyKeys,
  runs,
  steps,
  attempts,
  waits,
  matchPaths,
  topicMessages,
  runAudit,
  runAttributes,
  cursors,
  secrets,
];
