// An engine's push request, in the contract's form or with what our engine adds.

import { ValidationError } from '@ironflow/core';
import {
  type Assignment,
  assignmentFromJson,
  type Failure,
  type JobEvent,
  type MemoEntry,
  type Payload,
  parseInput,
} from '@ironflow/core/wire';
import { z } from 'zod';

const requestSchema = z.object({
  run_id: z.string().min(1),
  function_id: z.string().min(1),
  attempt: z.number().int().default(1),
  event: z.object({
    id: z.string(),
    name: z.string(),
    data: z.unknown().optional(),
    timestamp: z.string(),
    version: z.number().int().min(1).default(1),
    source: z.string().optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
  }),
  steps: z
    .array(
      z.object({
        id: z.string(),
        name: z.string().default(''),
        status: z.string(),
        output: z.unknown().optional(),
        error: z.string().nullish(),
      }),
    )
    .nullish(),
  resume: z.object({ step_id: z.string(), type: z.string(), data: z.unknown().optional() }).nullish(),
  secrets: z.record(z.string(), z.string()).nullish(),
  checkpoint: z.object({ url: z.url(), worker_id: z.string().min(1) }).optional(),
  job: z.unknown().optional(),
});

export interface PushRequest {
  readonly functionId: string;
  readonly assignment: Assignment;
  /** Where each step can be stored while the request is open; undefined with an engine that does not offer it. */
  readonly checkpoint: { readonly url: string; readonly workerId: string } | undefined;
}

/** @throws {ValidationError} that names the field at fault. */
export function pushRequestFrom(input: unknown): PushRequest {
  const request = parseInput(requestSchema, input, 'push request');
  const { checkpoint } = request;
  if (checkpoint !== undefined && request.job !== undefined) {
    const assignment = assignmentFromJson(request.job);
    if (assignment.runId !== request.run_id) throw new ValidationError('The push request names two different runs.');
    return {
      functionId: request.function_id,
      assignment,
      checkpoint: { url: checkpoint.url, workerId: checkpoint.worker_id },
    };
  }
  const { event } = request;
  const jobEvent: JobEvent = {
    id: event.id,
    name: event.name,
    version: event.version,
    data: payload(event.data),
    timestamp: Date.parse(event.timestamp),
    ...(event.source !== undefined && { source: event.source }),
    ...(event.metadata && { metadata: payload(event.metadata) }),
  };
  const memo = (request.steps ?? []).flatMap((step, i) => memoEntryFrom(step, i));
  const { resume } = request;
  if (resume != null && !memo.some(({ stepId }) => stepId === resume.step_id)) {
    memo.push(completed(resume.step_id, '', resume.data, memo.length));
  }
  return {
    functionId: request.function_id,
    checkpoint: undefined,
    assignment: {
      jobId: '',
      runId: request.run_id,
      functionId: request.function_id,
      attempt: request.attempt,
      event: jobEvent,
      memo,
      attempts: [],
      waits: [],
      wakes: 0,
      sequence: memo.length,
      fence: 0,
      leaseToken: '',
      ...(request.secrets && { secrets: request.secrets }),
    },
  };
}

function memoEntryFrom(
  step: { id: string; name: string; status: string; output?: unknown; error?: string | null | undefined },
  index: number,
): MemoEntry[] {
  if (step.status === 'completed') return [completed(step.id, step.name, step.output, index)];
  const error = failureFrom(step.error ?? '', step.status);
  // By the contract only a failed child is told; a failed step of any other kind runs again.
  if (error === undefined) return [];
  const status = step.status === 'timed_out' ? 'timed_out' : 'failed';
  return [{ stepId: step.id, name: step.name, status, error, wake: 0, sequence: index + 1 }];
}

function completed(stepId: string, name: string, output: unknown, index: number): MemoEntry {
  return { stepId, name, status: 'completed', output: payload(output), wake: 0, sequence: index + 1 };
}

function failureFrom(text: string, status: string): Failure | undefined {
  if (status === 'timed_out') {
    return { name: 'InvokeTimeoutError', code: 'INVOKE_TIMEOUT', message: 'invoke timed out', retryable: false };
  }
  let said: { message?: unknown; function_id?: unknown; child_run_id?: unknown; cause?: unknown };
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    return undefined;
  }
  if (said === null || typeof said !== 'object' || said.function_id === undefined) return undefined;
  return {
    name: 'InvokeError',
    code: 'INVOKE_FAILED',
    message: String(said.message ?? 'the invoked function failed'),
    retryable: false,
    details: { functionId: said.function_id, childRunId: said.child_run_id, cause: said.cause },
  };
}

const payload = (value: unknown): Payload => ({ value: (value ?? null) as never }); // parsed JSON
