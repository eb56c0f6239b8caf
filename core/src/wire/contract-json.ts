// The contract's own report of one job (a published worker), and its yield, which push responses carry too.

import { z } from 'zod';
import { parseDuration } from '../duration.ts';
import { ValidationError } from '../errors.ts';
import type { Json } from '../json.ts';
import { limits } from '../limits.ts';
import { stepNameFromId } from '../step-id.ts';
import type { Failure, Report, WaitRequest } from './job.ts';
import { jsonValue, optional, parseInput } from './parse.ts';
import { count, failure, instant, payloadFrom, stepId } from './parts-json.ts';
import {
  invokeTimeoutMsDefault,
  noReason,
  OUTPUT_OF_RUN,
  recordFrom,
  recordSchema,
  waitTimeoutMsDefault,
} from './report-json.ts';

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
