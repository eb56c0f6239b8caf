// What several messages between an engine and its workers have in their JSON: fields, ids, failures, payloads. Payloads that are
// text already are put in as they are, so nothing is parsed or written twice.

import { z } from 'zod';
import { ValidationError } from '../errors.ts';
import { assertJsonDepth, assertPayloadSize, encodeJson, type Json, type JsonText } from '../json.ts';
import { limits, utf8Length } from '../limits.ts';
import type { Failure, Payload } from './job.ts';
import { jsonValue, optional } from './parse.ts';

/** An object of fields, leaving out the undefined ones; values that are JsonText go in raw under `raw`. */
export function object(
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

export const array = (items: readonly string[]) => `[${items.join(',')}]`;

export function failureToWire(failure: Failure): Readonly<Record<string, unknown>> {
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

export const stepId = z
  .string()
  .min(1)
  .refine((text) => utf8Length(text) <= limits.stepIdBytesMax, `is longer than ${limits.stepIdBytesMax} bytes`)
  // A store that keeps text as UTF-8 would give it back as another id, and the step would never be found again.
  .refine((text) => text.isWellFormed(), 'contains half of a surrogate pair; cut names between characters');
export const count = z.number().int().nonnegative();
export const instant = z
  .union([z.number(), z.string().transform((text) => Date.parse(text))])
  .refine(Number.isFinite, 'is no time');
export const stepKind = z.enum([
  'run',
  'sleep',
  'wait_for_event',
  'wait_for_any',
  'invoke',
  'invoke_async',
  'publish',
  'compensate',
]);

export const failure = z
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
export const payloadFields = <N extends string>(name: N) =>
  ({ [name]: jsonValue.optional(), [`${name}_json`]: z.string().optional() }) as {
    [K in N | `${N}_json`]: K extends N ? z.ZodOptional<typeof jsonValue> : z.ZodOptional<z.ZodString>;
  };

/**
 * A payload that a report brings, to be stored.
 * @throws {LimitError} PAYLOAD_TOO_LARGE; {ValidationError} for text that is no JSON.
 */
export function payloadFrom(value: Json | null | undefined, text: string | undefined, what: string): Payload {
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
