import { LimitError, NotSerializableError } from './errors.ts';
import { limits, utf8Length } from './limits.ts';

export type JsonPrimitive = string | number | boolean | null;
export type Json = JsonPrimitive | readonly Json[] | { readonly [key: string]: Json };

declare const jsonText: unique symbol;
/** JSON as text. Payloads travel and are stored in this form, and are parsed once, where they are used. */
export type JsonText = string & { readonly [jsonText]: true };

/** The text of JSON `null`. */
export const jsonNull = 'null' as JsonText;

/**
 * Writes a value as JSON text; `undefined` becomes `null`.
 * @param what - Names the value in errors, for example `output of step "charge"`.
 * @throws {NotSerializableError} for a BigInt, a function or symbol as the whole value, or an object that contains itself.
 * @throws {LimitError} when it nests deeper than `limits.jsonDepthMax`.
 */
export function encodeJson(value: unknown, what: string): JsonText {
  if (value === undefined) return jsonNull;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new NotSerializableError(
      `The ${what} cannot be stored as JSON: ${error instanceof Error ? firstLine(error.message) : String(error)}. ` +
        'Return plain data: strings, finite numbers, booleans, null, arrays and objects of these.',
      { cause: error },
    );
  }
  if (text === undefined) {
    throw new NotSerializableError(
      `The ${what} is a ${typeof value}, which cannot be stored as JSON. Return plain data.`,
    );
  }
  assertJsonDepth(text, what);
  return text as JsonText;
}

/** Reads JSON text that this project wrote. */
export function decodeJson(text: JsonText): Json {
  return JSON.parse(text) as Json; // JSON.parse yields nothing but Json
}

/** Characters of a string that are looked at one by one before the rest of it is searched for its end. */
const SHORT_STRING = 32;

/**
 * Refuses text that nests arrays and objects deeper than `levelsMax`, before anything recurses over it.
 * One pass over the characters outside long strings; text too short to nest that deep is not looked at.
 */
export function assertJsonDepth(text: string, what: string, levelsMax: number = limits.jsonDepthMax): void {
  if (text.length <= levelsMax) return;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i + 1);
    else if (code === 0x7b /* { */ || code === 0x5b /* [ */) {
      if (++depth > levelsMax) {
        throw new LimitError(`The ${what} nests deeper than ${levelsMax} levels. Flatten it.`, {
          details: { limit: 'jsonDepthMax', value: levelsMax },
        });
      }
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Where the string ends whose characters begin at `from`: at its closing quote, or at the end of a text that has none. */
function endOfString(text: string, from: number): number {
  let i = from;
  for (const near = Math.min(text.length, from + SHORT_STRING); i < near; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
  for (let end = text.indexOf('"', i); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (end - backslashes > i && text.charCodeAt(end - backslashes - 1) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/**
 * Refuses a payload that is larger than is stored.
 * @param what - Names it in the error, for example `output of step "charge"`.
 * @throws {LimitError} PAYLOAD_TOO_LARGE.
 */
export function assertPayloadSize(text: JsonText, what: string): void {
  // A unit of UTF-16 takes at most three bytes of UTF-8, so only long texts need counting.
  if (text.length * 3 <= limits.payloadBytesMax) return;
  const bytes = utf8Length(text);
  if (bytes <= limits.payloadBytesMax) return;
  throw new LimitError(
    `The ${what} is ${bytes} bytes of JSON; at most ${limits.payloadBytesMax} are stored. Keep large data elsewhere, and a reference to it here.`,
    { code: 'PAYLOAD_TOO_LARGE', details: { limit: 'payloadBytesMax', value: limits.payloadBytesMax, bytes } },
  );
}

/** JSON text with object keys sorted, so that equal values have equal text. */
export function canonicalJson(value: unknown): JsonText {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  ) as JsonText; // undefined is the caller's to exclude
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
