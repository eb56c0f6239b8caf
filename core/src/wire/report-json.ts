// Reports as JSON: what our worker tells our engine of a job. The form for published workers is in contract-json.ts.

import { z } from 'zod';
import { limits } from '../limits.ts';
import { retryPolicyFrom } from '../retry.ts';
import { stepNameFromId } from '../step-id.ts';
import {
  type Failure,
  type JobEnd,
  payloadText,
  type Report,
  type StepRecord,
  type StepStart,
  type WaitRequest,
} from './job.ts';
import { jsonValue, optional, parseInput } from './parse.ts';
import { count, failure, failureToWire, instant, object, payloadFields, payloadFrom, stepId } from './parts-json.ts';

/** A report between our worker and our engine. */
export function reportToJson(report: Report): string {
  const { end, failing } = report;
  return object({
    job_id: report.jobId,
    execution_seq: report.fence,
    lease_token: report.leaseToken,
    seen_wakes: report.seenWakes,
    kept: report.kept,
    paused: report.paused,
    status: end?.status ?? (failing ? 'failing' : 'progress'),
    error: end?.status === 'failed' ? failureToWire(end.error) : failing && failureToWire(failing),
    output_json: end?.status === 'completed' ? payloadText(end.output) : undefined,
    steps: report.records.map(recordToWire),
    waits: report.waits.map(waitToWire),
    starts: report.starts?.map(startToWire),
  });
}

function startToWire({ stepId, name, attempt, startedAt }: StepStart): Readonly<Record<string, unknown>> {
  return { step_id: stepId, name, attempt, started_at: startedAt };
}

/** One step that ended, as `recordFromJson` reads it. */
export function recordToJson(record: StepRecord): string {
  return JSON.stringify(recordToWire(record));
}

/** What a report has beside its records and its output, as `reportRestFromJson` reads it. Empty when there is nothing. */
export function reportRestToJson({ waits, starts, end, failing, paused }: Report): string {
  const error = end?.status === 'failed' ? failureToWire(end.error) : undefined;
  if (waits.length === 0 && !starts?.length && !error && !failing && !paused) return '';
  return JSON.stringify({
    waits: waits.map(waitToWire),
    starts: starts?.map(startToWire),
    error,
    failing: failing && failureToWire(failing),
    paused,
  });
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

export const recordSchema = z.object({
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
  paused: z.boolean().optional(),
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
    ...(wire.paused && { paused: true }),
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
  starts: z.array(startSchema).max(limits.stepsPerReportMax).nullish(),
  failing: failure.optional(),
  paused: z.boolean().optional(),
});

/** @throws {ValidationError} or {LimitError} */
export function reportRestFromJson(
  input: unknown,
): Pick<Report, 'waits' | 'starts' | 'failing' | 'paused'> & { readonly error: Failure } {
  const { waits, starts, error, failing, paused } = parseInput(restSchema, input, 'job report');
  return {
    waits: waits.map(waitFrom),
    error: error ?? noReason,
    ...(starts != null && starts.length > 0 && { starts }),
    ...(failing && { failing }),
    ...(paused && { paused }),
  };
}

export function recordFrom(wire: z.output<typeof recordSchema>, sequence: number): StepRecord {
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

export const noReason: Failure = {
  code: 'ERROR',
  message: 'The worker reported a failure without saying why.',
  retryable: true,
};
