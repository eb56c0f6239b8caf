import { assertPayloadSize, encodeJson } from '@ironflow/core';
import type { Payload } from '@ironflow/core/wire';

/**
 * A value as it is stored.
 * @throws {NotSerializableError} when it cannot be written as JSON; {LimitError} when it is too deep or too large.
 */
export function payloadFrom(value: unknown, what: string): Payload {
  const text = encodeJson(value, what);
  assertPayloadSize(text, what);
  return { text };
}
