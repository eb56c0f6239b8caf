// Requests of clients, over Connect's JSON and over REST.

import { z } from 'zod';
import { limits } from '../limits.ts';
import { attributeFilter } from '../run-attributes.ts';
import { eitherCase, jsonValue, optional } from './parse.ts';

/** A number whose zero means that it is not given, as in Protobuf's JSON. */
const optionalNumber = <T extends z.ZodType>(inner: T) =>
  z.preprocess((input) => (input === 0 || input === '0' ? undefined : input), optional(inner));

const emitFields = {
  data: jsonValue.nullish(),
  version: optionalNumber(z.number().int().min(1).max(2_147_483_647)),
  idempotencyKey: optional(z.string().max(limits.nameLengthMax)),
  metadata: z.record(z.string(), z.unknown()).nullish(),
};

export const triggerRequest = eitherCase({ event: z.string(), ...emitFields });
export const triggerSyncRequest = eitherCase({
  event: z.string(),
  timeoutMs: optional(z.number().int().nonnegative()),
  ...emitFields,
});
export const triggerBatchRequest = eitherCase({ events: z.array(triggerRequest).min(1).max(1_000) });
export const postEventRequest = eitherCase({ name: z.string(), ...emitFields });

export const publishRequest = eitherCase({
  topic: z.string(),
  data: jsonValue.nullish(),
  idempotencyKey: optional(z.string().max(limits.nameLengthMax)),
});
export const topicRequest = eitherCase({ topic: z.string().min(1) });

export const idRequest = eitherCase({ id: z.string().min(1) });
export const runStepsRequest = eitherCase({ runId: z.string().min(1) });
const reason = z.string().max(limits.errorTextLengthMax).nullish();

export const decideStepRequest = eitherCase({
  stepId: z.string().min(1).max(limits.stepIdBytesMax),
  output: jsonValue.optional(),
  error: z.string().min(1).max(limits.errorTextLengthMax).nullish(),
  again: z.boolean().nullish(),
  reason,
});
/** A time as text of ISO 8601, or in milliseconds since 1970. */
const time = z
  .union([z.number(), z.string().transform((text) => (/^\d+$/.test(text) ? Number(text) : Date.parse(text)))])
  .refine((ms) => Number.isInteger(ms) && ms >= 0, 'is no time; use text such as 2026-01-31T12:00:00Z')
  .refine((ms) => ms <= 8.64e15, 'is too far away');

const runFilterFields = {
  functionId: optional(z.string()),
  status: optional(z.union([z.string(), z.number()])),
  since: optional(time),
  until: optional(time),
  eventId: optional(z.string()),
  eventName: optional(z.string()),
  parentRunId: optional(z.string()),
  attributes: optional(z.record(z.string(), z.unknown()).transform(attributeFilter)),
};
export const listRunsRequest = eitherCase({
  ...runFilterFields,
  limit: optionalNumber(z.coerce.number().int().min(1)),
  cursor: optional(z.string()),
});

export const cancelRunRequest = eitherCase({ id: z.string().min(1), reason, compensate: z.boolean().nullish() });
export const pauseRunRequest = eitherCase({ runId: z.string().min(1), reason });
export const resumeRunRequest = eitherCase({ runId: z.string().min(1), fromStep: optional(z.string()), reason });
export const retryRunRequest = eitherCase({ id: z.string().min(1), fromStep: optional(z.string()), reason });
export const rerunRunRequest = eitherCase({ runId: z.string().min(1), input: jsonValue.optional(), reason });
export const patchStepRequest = eitherCase({ stepId: z.string().min(1), output: jsonValue, reason });
/** The contract carries the output as JSON text here. */
export const injectStepOutputRequest = eitherCase({
  runId: z.string().min(1),
  stepId: z.string().min(1),
  newOutput: z.string(),
  reason,
});
export const bulkRequest = eitherCase({
  action: z.enum(['cancel', 'pause', 'resume', 'retry']),
  filter: eitherCase(runFilterFields).default({}),
  reason,
  limit: optionalNumber(z.number().int().min(1)),
  cursor: optional(z.string()),
});
export const auditTrailRequest = eitherCase({
  runId: optional(z.string()),
  eventType: optional(z.string()),
  fromTimestamp: optional(time),
  toTimestamp: optional(time),
  limit: optionalNumber(z.coerce.number().int().min(1)),
  cursor: optional(z.string()),
});

/** How long TriggerSync waits for the runs when not told, and at most: 30 seconds and 10 minutes. */
export const triggerSyncTimeoutMsDefault = 30_000;
export const triggerSyncTimeoutMsMax = 600_000;
