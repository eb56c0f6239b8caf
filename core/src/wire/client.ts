// Requests of clients, over Connect's JSON and over REST.

import { z } from 'zod';
import { limits } from '../limits.ts';
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
export const cancelRunRequest = eitherCase({
  id: z.string().min(1),
  reason: z.string().max(limits.errorTextLengthMax).nullish(),
  compensate: z.boolean().nullish(),
});
export const listRunsRequest = eitherCase({
  functionId: optional(z.string()),
  status: optional(z.union([z.string(), z.number()])),
  limit: optionalNumber(z.coerce.number().int().min(1)),
  cursor: optional(z.string()),
});

/** How long TriggerSync waits for the runs when not told, and at most: 30 seconds and 10 minutes. */
export const triggerSyncTimeoutMsDefault = 30_000;
export const triggerSyncTimeoutMsMax = 600_000;
