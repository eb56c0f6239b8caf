import { encodeJson, LimitError, limits } from '@ironflow/core';
import type { Payload } from '@ironflow/core/wire';

/**
 * A value as it is stored.
 * @throws {NotSerializableError} when it cannot be written as JSON; {LimitError} when it is too deep or too large.
 */
export function payloadFrom(value: unknown, what: string): Payload {
  const text = encodeJson(value, what);
  // A character takes at most three bytes of UTF-8, so only long texts need counting.
  if (text.length * 3 <= limits.payloadBytesMax) return { text };
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= limits.payloadBytesMax) return { text };
  throw new LimitError(
    `The ${what} is ${bytes} bytes of JSON; at most ${limits.payloadBytesMax} are stored. Keep large data elsewhere, and a reference to it here.`,
    { code: 'PAYLOAD_TOO_LARGE', details: { limit: 'payloadBytesMax', value: limits.payloadBytesMax, bytes } },
  );
}
