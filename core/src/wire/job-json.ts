// Jobs, reports and answers as JSON: the contract's names and forms, and beside them what our worker and our engine add.
// Payloads that are text already are put in as they are, so nothing is parsed or written twice.

import { z } from 'zod';
import { parseDuration } from '../duration.ts';
import { ValidationError } from '../errors.ts';
import { assertJsonDepth, assertPayloadSize, encodeJson, type Json, type JsonText } from '../json.ts';
import { limits, utf8Length } from '../limits.ts';
import { retryPolicyFrom } from '../retry.ts';
import { stepNameFromId } from '../step-id.ts';
import {
  type Assignment,
  type Failure,
  isContinuation,
  type JobEnd,
  type JobEvent,
  type JobOffer,
  type MemoEntry,
  type Payload,
  payloadText,
  type Report,
  type ReportAnswer,
  type Resolution,
  type StepRecord,
  type StepStart,
  type WaitRequest,
} from './job.ts';
import { jsonValue, optional, parseInput } from './parse.ts';

// ── writing ──

/** An object of fields, leaving out the undefined ones; values that are JsonText go in raw under `raw`. */
function object(
  fields: Readonly<Record<string, unknown>>,
  raw: Readonly<Record<string, string | undefined>> = {},
): string {
  let text = '';
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  for (const [name, value] of Object.entries(raw)) {
    if (value !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${value}`;
  }
  return `{${text}}`;
}

const array = (items: readonly string[]) => `[${items.join(',')}]`;
const iso = (ms: number) => new Date(ms).toISOString();

export function eventToJson(event: JobEvent): string {
  return object(
    { id: event.id, name: event.name, version: event.version, timestamp: iso(event.timestamp), source: event.source },
    { data: payloadText(event.data), metadata: event.metadata && payloadText(event.metadata) },
  );
}

/** @param conversational - Whether the worker understands more than the contract: failures in the memo, order, open waits. */
export function assignmentToJson(assignment: Assignment, conversational: boolean): string {
  const { memo } = assignment;
  const completed = memo.filter(({ status }) => status === 'completed');
  const base = {
    job_id: assignment.jobId,
    run_id: assignment.runId,
    function_id: assignment.functionId,
    attempt: assignment.attempt,
    step_sequence_base: assignment.sequence,
    execution_seq: assignment.fence,
    lease_token: assignment.leaseToken,
    context: assignment.secrets === undefined ? {} : { secrets: assignment.secrets },
  };
  if (!conversational) {
    return object(base, {
      event: eventToJson(assignment.event),
      completed_steps: array(
        completed.map(({ stepId, name, output }) =>
          object({ step_id: stepId, name }, { output: output === undefined ? 'null' : payloadText(output) }),
        ),
      ),
    });
  }
  return object(
    {
      ...base,
      attempts: assignment.attempts.map(({ stepId, attempt }) => ({ step_id: stepId, attempt })),
      waits: assignment.waits.map(({ stepId, kind, dueAt }) => ({ step_id: stepId, kind, due_at: dueAt })),
      wakes: assignment.wakes,
      time_left_ms: assignment.timeLeftMs,
      ending: assignment.ending && failureToWire(assignment.ending),
    },
    {
      event: eventToJson(assignment.event),
      completed_steps: array(completed.map(memoEntryToJson)),
      failed_steps: array(memo.filter(({ status }) => status !== 'completed').map(memoEntryToJson)),
    },
  );
}

/** @param conversational - See `assignmentToJson`; a continuation goes to nobody else. */
export function jobOfferToJson(offer: JobOffer, conversational: boolean): string {
  if (!isContinuation(offer)) return assignmentToJson(offer, conversational);
  return object(
    {
      job_id: offer.jobId,
      run_id: offer.runId,
      function_id: offer.functionId,
      execution_seq: offer.fence,
      lease_token: offer.leaseToken,
      time_left_ms: offer.timeLeftMs,
    },
    { resolutions: array(offer.resolutions.map(resolutionToJson)) },
  );
}

function memoEntryToJson(entry: MemoEntry): string {
  return object(
    {
      step_id: entry.stepId,
      name: entry.name,
      kind: entry.kind,
      status: entry.status,
      wake: entry.wake,
      sequence: entry.sequence,
      error: entry.error && failureToWire(entry.error),
    },
    { output: entry.output === undefined ? 'null' : payloadText(entry.output) },
  );
}

function failureToWire(failure: Failure): Readonly<Record<string, unknown>> {
  return {
    message: failure.message,
    code: failure.code,
    retryable: failure.retryable,
    name: failure.name,
    stack: failure.stack,
    details: failure.details,
    retry_after_ms: failure.retryAfterMs,
  };
}

/** A report between our worker and our engine. */
export function reportToJson(report: Report): string {
  const { end, failing } = report;
  return object({
    job_id: report.jobId,
    execution_seq: report.fence,
    lease_token: report.leaseToken,
    seen_wakes: report.seenWakes,
    kept: report.kept,
    status: end?.status ?? (failing ? 'failing' : 'progress'),
    error: end?.status === 'failed' ? failureToWire(end.error) : failing && failureToWire(failing),
    output_json: end?.status === 'completed' ? payloadText(end.output) : undefined,
    steps: report.records.map(recordToWire),
    waits: report.waits.map(waitToWire),
    starts: report.starts?.map((start) => ({
      step_id: start.stepId,
      name: start.name,
      attempt: start.attempt,
      started_at: start.startedAt,
    })),
  });
}

/** One step that ended, as `recordFromJson` reads it. */
export function recordToJson(record: StepRecord): string {
  return JSON.stringify(recordToWire(record));
}

/** What a report has beside its records and its output, as `reportRestFromJson` reads it. Empty when there is nothing. */
export function reportRestToJson({ waits, end }: Report): string {
  const error = end?.status === 'failed' ? failureToWire(end.error) : undefined;
  if (waits.length === 0 && error === undefined) return '';
  return JSON.stringify({ waits: waits.map(waitToWire), error });
}

function recordToWire(record: StepRecord): Readonly<Record<string, unknown>> {
  return {
    id: record.stepId,
    name: record.name,
    kind: record.kind,
    status: record.status,
    attempt: record.attempt,
    wake: record.wake,
    sequence: record.sequence,
    started_at: record.startedAt,
    ended_at: record.endedAt,
    has_start: record.hasStart,
    output_json: record.output && payloadText(record.output),
    error: record.error && failureToWire(record.error),
    retry: record.retry,
  };
}

function waitToWire(wait: WaitRequest): Readonly<Record<string, unknown>> {
  const base = { step_id: wait.stepId, name: wait.name, kind: wait.kind, wake: wait.wake, sequence: wait.sequence };
  switch (wait.kind) {
    case 'sleep':
      return { ...base, until: wait.until };
    case 'wait_for_event':
      return { ...base, event: wait.event, match: wait.match, timeout_ms: wait.timeoutMs };
    case 'wait_for_any':
      return { ...base, alternatives: wait.alternatives, timeout_ms: wait.timeoutMs };
    case 'invoke':
      return {
        ...base,
        function_id: wait.functionId,
        input_json: payloadText(wait.input),
        timeout_ms: wait.timeoutMs,
        child_stays: wait.childStays,
      };
    case 'invoke_async':
      return { ...base, function_id: wait.functionId, input_json: payloadText(wait.input) };
    case 'publish':
      return { ...base, topic: wait.topic, input_json: payloadText(wait.data) };
  }
}

/** The answer to one report, or (`code`) its refusal. */
export function answerToJson(answer: ReportAnswer): string {
  if (answer.status === 'refused') return object({ status: 'refused', code: answer.code, message: answer.message });
  return object(
    {
      status: 'accepted',
      ended: answer.ended,
      ...(answer.pausing && { pausing: true }),
      retries: answer.retries.map(({ stepId, attempt, dueAt }) => ({ step_id: stepId, attempt, due_at: dueAt })),
    },
    { resolutions: array(answer.resolutions.map(resolutionToJson)) },
  );
}

export function resolutionToJson(resolution: Resolution): string {
  if (resolution.kind === 'retry') {
    return object({ kind: 'retry', wake: resolution.wake, step_id: resolution.stepId, attempt: resolution.attempt });
  }
  return object({ kind: 'settled', wake: resolution.wake }, { entry: memoEntryToJson(resolution.entry) });
}

// ── reading ──

const stepId = z
  .string()
  .min(1)
  .refine((text) => utf8Length(text) <= limits.stepIdBytesMax, `is longer than ${limits.stepIdBytesMax} bytes`)
  // A store that keeps text as UTF-8 would give it back as another id, and the step would never be found again.
  .refine((text) => text.isWellFormed(), 'contains half of a surrogate pair; cut names between characters');
const count = z.number().int().nonnegative();
const instant = z
  .union([z.number(), z.string().transform((text) => Date.parse(text))])
  .refine(Number.isFinite, 'is no time');
const stepKind = z.enum([
  'run',
  'sleep',
  'wait_for_event',
  'wait_for_any',
  'invoke',
  'invoke_async',
  'publish',
  'compensate',
]);

const failure = z
  .object({
    message: z.string().default(''),
    code: optional(z.string()),
    retryable: z.boolean().default(false),
    name: optional(z.string()),
    stack: optional(z.string()),
    details: z.record(z.string(), z.unknown()).nullish(),
    retry_after_ms: optional(z.number().nonnegative()),
  })
  .transform(
    (wire): Failure => ({
      message: cut(wire.message),
      code: wire.code ?? 'STEP_FAILED',
      retryable: wire.retryable,
      ...(wire.name !== undefined && { name: wire.name }),
      ...(wire.stack !== undefined && { stack: cut(wire.stack) }),
      ...(wire.details != null && { details: wire.details }),
      ...(wire.retry_after_ms !== undefined && { retryAfterMs: wire.retry_after_ms }),
    }),
  );

const cut = (text: string) =>
  text.length > limits.errorTextLengthMax ? `${text.slice(0, limits.errorTextLengthMax)}…` : text;

/** A payload under `<name>` as JSON, or under `<name>_json` as text. */
const payloadFields = <N extends string>(name: N) =>
  ({ [name]: jsonValue.optional(), [`${name}_json`]: z.string().optional() }) as {
    [K in N | `${N}_json`]: K extends N ? z.ZodOptional<typeof jsonValue> : z.ZodOptional<z.ZodString>;
  };

/**
 * A payload that a report brings, to be stored.
 * @throws {LimitError} PAYLOAD_TOO_LARGE; {ValidationError} for text that is no JSON.
 */
function payloadFrom(value: Json | null | undefined, text: string | undefined, what: string): Payload {
  if (text !== undefined) return payloadFromText(text, what);
  const payload = encodeJson(value ?? null, what);
  assertPayloadSize(payload, what);
  return { text: payload };
}

/**
 * A payload that came as text, to be stored.
 * @param what - Names it in errors, for example `output of step "charge"`.
 * @throws {LimitError} PAYLOAD_TOO_LARGE; {ValidationError} for text that is no JSON.
 */
export function payloadFromText(text: string, what: string): Payload {
  const payload = checkedJson(text, what);
  assertPayloadSize(payload, what);
  return { text: payload };
}

/** Text from outside that claims to be JSON: kept as it is, once it has been seen to be. */
function checkedJson(text: string, what: string): JsonText {
  assertJsonDepth(text, what);
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new ValidationError(`The ${what}, given as text, is not JSON. Send what JSON.stringify makes.`, { cause });
  }
  return text as JsonText; // it parses
}

const eventSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    version: z.number().int().min(1).default(1),
    data: jsonValue.default(null),
    timestamp: instant,
    source: optional(z.string()),
    metadata: z.record(z.string(), z.unknown()).nullish(),
  })
  .transform(
    (wire): JobEvent => ({
      id: wire.id,
      name: wire.name,
      version: wire.version,
      data: { value: wire.data },
      timestamp: wire.timestamp,
      ...(wire.source !== undefined && { source: wire.source }),
      ...(wire.metadata != null && { metadata: { value: wire.metadata as Json } }),
    }),
  );

const memoEntry = z.object({
  step_id: stepId,
  name: z.string().default(''),
  kind: stepKind.optional(),
  status: z.enum(['completed', 'failed', 'timed_out']).default('completed'),
  output: jsonValue.default(null),
  error: failure.optional(),
  wake: count.optional(),
  sequence: count.optional(),
});

function memoEntryFrom(wire: z.output<typeof memoEntry>, index: number): MemoEntry {
  return {
    stepId: wire.step_id,
    name: wire.name === '' ? stepNameFromId(wire.step_id) : wire.name,
    ...(wire.kind && { kind: wire.kind }),
    status: wire.status,
    output: { value: wire.output },
    ...(wire.error && { error: wire.error }),
    wake: wire.wake ?? 0,
    sequence: wire.sequence ?? index + 1,
  };
}

const assignmentSchema = z.object({
  job_id: z.string(),
  run_id: z.string(),
  function_id: z.string(),
  attempt: z.number(),
  event: eventSchema,
  completed_steps: z.array(memoEntry),
  failed_steps: z.array(memoEntry).default([]),
  attempts: z.array(z.object({ step_id: stepId, attempt: count })).default([]),
  waits: z
    .array(
      z.object({
        step_id: stepId,
        kind: z.enum(['sleep', 'event', 'any', 'child', 'retry', 'decision']),
        due_at: z.number().nullable(),
      }),
    )
    .default([]),
  wakes: count.optional(),
  step_sequence_base: count.default(0),
  execution_seq: count.default(0),
  lease_token: z.string().default(''),
  time_left_ms: z.number().optional(),
  context: z.object({ secrets: z.record(z.string(), z.string()).nullish() }).nullish(),
  ending: failure.optional(),
});

/** Reads an assignment as any engine of the contract sends it. @throws {ValidationError} */
export function assignmentFromJson(input: unknown): Assignment {
  const wire = parseInput(assignmentSchema, input, 'job assignment');
  const memo = [...wire.completed_steps, ...wire.failed_steps]
    .map(memoEntryFrom)
    .sort((a, b) => a.wake - b.wake || a.sequence - b.sequence);
  return {
    jobId: wire.job_id,
    runId: wire.run_id,
    functionId: wire.function_id,
    attempt: wire.attempt,
    event: wire.event,
    memo,
    attempts: wire.attempts.map(({ step_id, attempt }) => ({ stepId: step_id, attempt })),
    waits: wire.waits.map(({ step_id, kind, due_at }) => ({ stepId: step_id, kind, dueAt: due_at })),
    wakes: wire.wakes ?? 0,
    sequence: wire.step_sequence_base,
    fence: wire.execution_seq,
    leaseToken: wire.lease_token,
    ...(wire.time_left_ms !== undefined && { timeLeftMs: wire.time_left_ms }),
    ...(wire.context?.secrets && { secrets: wire.context.secrets }),
    ...(wire.ending && { ending: wire.ending }),
  };
}

const continuationSchema = z.object({
  job_id: z.string(),
  run_id: z.string(),
  function_id: z.string(),
  execution_seq: count,
  lease_token: z.string(),
  time_left_ms: z.number(),
  resolutions: z.array(z.unknown()),
});

/** Reads an assignment, or a continuation of our engine. @throws {ValidationError} */
export function jobOfferFromJson(input: unknown): JobOffer {
  if (input === null || typeof input !== 'object' || !('resolutions' in input)) return assignmentFromJson(input);
  const wire = parseInput(continuationSchema, input, 'job continuation');
  return {
    jobId: wire.job_id,
    runId: wire.run_id,
    functionId: wire.function_id,
    fence: wire.execution_seq,
    leaseToken: wire.lease_token,
    timeLeftMs: wire.time_left_ms,
    resolutions: wire.resolutions.map(resolutionFromJson),
  };
}

const recordSchema = z.object({
  id: stepId,
  name: z
    .string()
    .max(limits.nameLengthMax + 32)
    .default(''),
  kind: z.enum(['run', 'publish', 'compensate']).optional(),
  type: optional(z.string()),
  status: z.enum(['completed', 'failed']),
  attempt: z.number().int().min(1).optional(),
  wake: count.optional(),
  sequence: count.optional(),
  started_at: instant.optional(),
  ended_at: instant.optional(),
  error: failure.nullish(),
  retry: z
    .object({ maxAttempts: z.number(), initialDelayMs: z.number(), backoffFactor: z.number(), maxDelayMs: z.number() })
    .transform((policy) => retryPolicyFrom(policy, 'retry of a step'))
    .optional(),
  has_start: z.boolean().nullish(),
  ...payloadFields('output'),
});

const startSchema = z
  .object({
    step_id: stepId,
    name: z.string().max(limits.nameLengthMax).default(''),
    attempt: z.number().int().min(1),
    started_at: instant,
  })
  .transform((wire): StepStart => {
    const { step_id, name, attempt, started_at } = wire;
    return { stepId: step_id, name: name || stepNameFromId(step_id), attempt, startedAt: started_at };
  });

const waitSchema = z.object({
  step_id: stepId,
  name: z
    .string()
    .max(limits.nameLengthMax + 32)
    .default(''),
  kind: z.enum(['sleep', 'wait_for_event', 'wait_for_any', 'invoke', 'invoke_async', 'publish']),
  wake: count,
  sequence: count,
  until: instant.optional(),
  event: optional(z.string().max(limits.nameLengthMax)),
  match: optional(z.string()),
  alternatives: z
    .array(
      z.object({
        key: z.string().min(1).max(limits.nameLengthMax),
        event: z.string().min(1).max(limits.nameLengthMax),
        match: optional(z.string()),
      }),
    )
    .max(limits.alternativesMax)
    .optional(),
  timeout_ms: z.number().positive().optional(),
  function_id: optional(z.string().max(limits.nameLengthMax)),
  topic: optional(z.string().max(limits.nameLengthMax)),
  child_stays: z.boolean().nullish(),
  input: jsonValue.optional(),
  input_json: z.string().optional(),
});

const reportSchema = z.object({
  job_id: z.string(),
  execution_seq: count,
  lease_token: z.string(),
  seen_wakes: count,
  kept: z.boolean().optional(),
  status: z.enum(['progress', 'completed', 'failed', 'failing', 'suspended']),
  error: failure.optional(),
  ...payloadFields('output'),
  steps: z.array(recordSchema).max(limits.stepsPerReportMax).default([]),
  waits: z.array(waitSchema).max(limits.waitsPerReportMax).default([]),
  starts: z.array(startSchema).max(limits.stepsPerReportMax).nullish(),
});

export const reportBatchSchema = z.object({ reports: z.array(z.unknown()).max(limits.reportsPerRequestMax) });

/** Reads a report of our worker. @throws {ValidationError} */
export function reportFromJson(input: unknown): Report {
  const wire = parseInput(reportSchema, input, 'job report');
  const end = ((): JobEnd | undefined => {
    if (wire.status === 'completed')
      return { status: 'completed', output: payloadFrom(wire.output, wire.output_json, OUTPUT_OF_RUN) };
    if (wire.status === 'failed') return { status: 'failed', error: wire.error ?? noReason };
    return wire.status === 'suspended' ? { status: 'suspended' } : undefined;
  })();
  return {
    jobId: wire.job_id,
    fence: wire.execution_seq,
    leaseToken: wire.lease_token,
    seenWakes: wire.seen_wakes,
    records: wire.steps.map((step, i) => recordFrom(step, i)),
    waits: wire.waits.map(waitFrom),
    ...(wire.starts != null && wire.starts.length > 0 && { starts: wire.starts }),
    ...(end && { end }),
    ...(wire.kept && { kept: true }),
    ...(wire.status === 'failing' && { failing: wire.error ?? noReason }),
  };
}

/** @throws {ValidationError} or {LimitError} */
export function recordFromJson(input: unknown): StepRecord {
  return recordFrom(parseInput(recordSchema, input, 'step of a job report'), 0);
}

const restSchema = z.object({
  error: failure.optional(),
  waits: z.array(waitSchema).max(limits.waitsPerReportMax).default([]),
});

/** @throws {ValidationError} or {LimitError} */
export function reportRestFromJson(input: unknown): {
  readonly waits: readonly WaitRequest[];
  readonly error: Failure;
} {
  const { waits, error } = parseInput(restSchema, input, 'job report');
  return { waits: waits.map(waitFrom), error: error ?? noReason };
}

function recordFrom(wire: z.output<typeof recordSchema>, sequence: number): StepRecord {
  const name = wire.name === '' ? stepNameFromId(wire.id) : wire.name;
  return {
    stepId: wire.id,
    name,
    kind: wire.kind ?? (wire.type === 'compensate' ? 'compensate' : 'run'),
    status: wire.status,
    attempt: wire.attempt ?? 1,
    wake: wire.wake ?? 0,
    sequence: wire.sequence ?? sequence,
    startedAt: wire.started_at ?? 0,
    endedAt: wire.ended_at ?? 0,
    ...(wire.has_start === true && { hasStart: true }),
    ...(wire.status === 'completed' && {
      output: payloadFrom(wire.output, wire.output_json, `output of step "${name}"`),
    }),
    ...(wire.status === 'failed' && { error: wire.error ?? noReason }),
    ...(wire.retry && { retry: wire.retry }),
  };
}

function waitFrom(wire: z.output<typeof waitSchema>): WaitRequest {
  const base = {
    stepId: wire.step_id,
    name: wire.name || stepNameFromId(wire.step_id),
    wake: wire.wake,
    sequence: wire.sequence,
  };
  const input = () => payloadFrom(wire.input, wire.input_json, `input of step "${base.name}"`);
  switch (wire.kind) {
    case 'sleep':
      return { ...base, kind: 'sleep', until: wire.until ?? 0 };
    case 'wait_for_event':
      return {
        ...base,
        kind: 'wait_for_event',
        event: wire.event ?? '',
        timeoutMs: wire.timeout_ms ?? waitTimeoutMsDefault,
        ...(wire.match !== undefined && { match: wire.match }),
      };
    case 'wait_for_any':
      return {
        ...base,
        kind: 'wait_for_any',
        alternatives: (wire.alternatives ?? []).map(({ match, ...rest }) => ({ ...rest, ...(match && { match }) })),
        timeoutMs: wire.timeout_ms ?? waitTimeoutMsDefault,
      };
    case 'invoke':
      return {
        ...base,
        kind: 'invoke',
        functionId: wire.function_id ?? '',
        input: input(),
        timeoutMs: wire.timeout_ms ?? invokeTimeoutMsDefault,
        ...(wire.child_stays === true && { childStays: true }),
      };
    case 'invoke_async':
      return { ...base, kind: 'invoke_async', functionId: wire.function_id ?? '', input: input() };
    case 'publish':
      return { ...base, kind: 'publish', topic: wire.topic ?? '', data: input() };
  }
}

/** How long `waitForEvent` waits when not told: 7 days. */
export const waitTimeoutMsDefault = 7 * 86_400_000;
/** How long `invoke` waits when not told: 30 seconds. */
export const invokeTimeoutMsDefault = 30_000;

/** How the output of a run is called in errors. */
export const OUTPUT_OF_RUN = 'output of the function';

const noReason: Failure = {
  code: 'ERROR',
  message: 'The worker reported a failure without saying why.',
  retryable: true,
};

// The contract's own report of one job (a published worker), and its yield, which push responses carry too.

const yieldBase = { step_id: stepId };
const yieldedCall = {
  ...yieldBase,
  function_id: z.string().min(1).max(limits.nameLengthMax),
  input: jsonValue.nullish(),
};

export const yieldSchema = z.discriminatedUnion('type', [
  z.object({ ...yieldBase, type: z.literal('sleep'), until: instant }),
  z.object({
    ...yieldBase,
    type: z.literal('wait_for_event'),
    event_filter: z.object({
      event: z.string().min(1).max(limits.nameLengthMax),
      match: optional(z.string()),
      timeout: z.union([z.string(), z.number()]).nullish(),
    }),
  }),
  z.object({
    ...yieldedCall,
    type: z.literal('invoke_function'),
    invoke_timeout_ms: optional(z.number().positive()),
  }),
  z.object({ ...yieldedCall, type: z.literal('invoke_function_async') }),
]);

const contractReportSchema = z.object({
  status: z.enum(['progress', 'completed', 'failed', 'yielded']),
  execution_seq: count.optional(),
  lease_token: z.string().optional(),
  output: jsonValue.optional(),
  error: failure.nullish(),
  // A checkpoint has at most `stepsPerReportMax`; the last report has all that no checkpoint took.
  steps: z.array(recordSchema).max(limits.stepsPerRunMax).nullish(),
  step_offset: count.optional(),
  yield: yieldSchema.nullish(),
});

/**
 * Reads a published worker's report on one job.
 * @param fence - The fence in the job's name, for a report that carries none.
 * @throws {ValidationError}
 */
export function contractReportFromJson(input: unknown, jobId: string, fence: number): Report {
  const wire = parseInput(contractReportSchema, input, 'job report');
  return contractReport({ ...wire, jobId, fence: wire.execution_seq ?? fence, leaseToken: wire.lease_token ?? '' });
}

/** Brings the parts of a contract report or push response into the one form that the engine takes. */
export function contractReport(parts: {
  readonly jobId: string;
  readonly fence: number;
  readonly leaseToken: string;
  readonly status: 'progress' | 'completed' | 'failed' | 'yielded';
  readonly output?: Json | undefined;
  readonly error?: Failure | null | undefined;
  readonly steps?: z.output<typeof recordSchema>[] | null | undefined;
  readonly step_offset?: number | undefined;
  readonly yield?: z.output<typeof yieldSchema> | null | undefined;
}): Report {
  const offset = parts.step_offset ?? 0;
  const records = (parts.steps ?? []).map((step, i) => recordFrom(step, offset + i + 1));
  const base = { jobId: parts.jobId, fence: parts.fence, leaseToken: parts.leaseToken, seenWakes: 0, records };
  switch (parts.status) {
    case 'progress':
      return { ...base, waits: [] };
    case 'completed':
      return {
        ...base,
        waits: [],
        end: { status: 'completed', output: payloadFrom(parts.output, undefined, OUTPUT_OF_RUN) },
      };
    case 'failed':
      return { ...base, waits: [], end: { status: 'failed', error: parts.error ?? noReason } };
    case 'yielded':
      if (parts.yield == null) {
        throw new ValidationError('The job yields, but "yield" does not say what it waits for.', {
          validationErrors: [{ path: 'yield', message: 'is missing' }],
        });
      }
      return {
        ...base,
        waits: [waitFromYield(parts.yield, offset + records.length + 1)],
        end: { status: 'suspended' },
      };
  }
}

function waitFromYield(wire: z.output<typeof yieldSchema>, sequence: number): WaitRequest {
  const base = { stepId: wire.step_id, name: stepNameFromId(wire.step_id), wake: 0, sequence };
  const input = (value: Json | null | undefined) => payloadFrom(value, undefined, `input of step "${base.name}"`);
  switch (wire.type) {
    case 'sleep':
      return { ...base, kind: 'sleep', until: wire.until };
    case 'wait_for_event': {
      const { event, match, timeout } = wire.event_filter;
      const timeoutMs =
        timeout == null || timeout === ''
          ? waitTimeoutMsDefault
          : parseDuration(timeout, `timeout of step "${base.name}"`);
      return { ...base, kind: 'wait_for_event', event, timeoutMs, ...(match !== undefined && { match }) };
    }
    case 'invoke_function':
      return {
        ...base,
        kind: 'invoke',
        functionId: wire.function_id,
        input: input(wire.input),
        timeoutMs: wire.invoke_timeout_ms ?? invokeTimeoutMsDefault,
      };
    case 'invoke_function_async':
      return { ...base, kind: 'invoke_async', functionId: wire.function_id, input: input(wire.input) };
  }
}

const resolutionSchema = z.union([
  z.object({ kind: z.literal('retry'), wake: count, step_id: stepId, attempt: count }),
  z.object({ kind: z.literal('settled'), wake: count, entry: memoEntry }),
]);

export function resolutionFromJson(input: unknown): Resolution {
  const wire = parseInput(resolutionSchema, input, 'resolution');
  if (wire.kind === 'retry') return { kind: 'retry', wake: wire.wake, stepId: wire.step_id, attempt: wire.attempt };
  return { kind: 'settled', wake: wire.wake, entry: memoEntryFrom(wire.entry, 0) };
}

const answerSchema = z.union([
  z.object({ status: z.literal('refused'), code: z.string(), message: z.string() }),
  z.object({
    status: z.literal('accepted'),
    ended: z.boolean(),
    retries: z.array(z.object({ step_id: stepId, attempt: count, due_at: z.number() })),
    resolutions: z.array(z.unknown()),
    pausing: z.boolean().optional(),
  }),
]);

/** Reads the engine's answer to a report. @throws {ValidationError} */
export function answerFromJson(input: unknown): ReportAnswer {
  const wire = parseInput(answerSchema, input, 'answer to a report');
  if (wire.status === 'refused') return wire;
  return {
    status: 'accepted',
    ended: wire.ended,
    retries: wire.retries.map(({ step_id, attempt, due_at }) => ({ stepId: step_id, attempt, dueAt: due_at })),
    resolutions: wire.resolutions.map(resolutionFromJson),
    ...(wire.pausing === true && { pausing: true }),
  };
}

const pushResponseSchema = z.object({
  status: z.enum(['completed', 'yielded', 'failed']),
  steps: z.array(recordSchema).nullish(),
  result: jsonValue.optional(),
  error: failure.nullish(),
  yield: yieldSchema.nullish(),
});

/** Reads the response of a push endpoint as a report on its job. @throws {ValidationError} */
export function pushResponseFromJson(
  input: unknown,
  job: { readonly jobId: string; readonly fence: number; readonly leaseToken: string; readonly sequence: number },
): Report {
  const { result, ...wire } = parseInput(pushResponseSchema, input, 'push response');
  return contractReport({ ...wire, ...job, step_offset: job.sequence, output: result });
}
