// What a worker is given, as JSON: the contract's job assignment, and beside it what our engine adds for our worker.

import { z } from 'zod';
import type { Json } from '../json.ts';
import { type Assignment, isContinuation, type JobEvent, type JobOffer, payloadText } from './job.ts';
import { memoEntry, memoEntryFrom, memoEntryToJson, resolutionFromJson, resolutionToJson } from './memo-json.ts';
import { jsonValue, optional, parseInput } from './parse.ts';
import { array, count, failure, failureToWire, instant, object, stepId } from './parts-json.ts';

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
