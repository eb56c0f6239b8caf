// Redaction: finds the values of secrets in what a function hands out, and puts *** in their place.
//
//   R1. Found is a value written plainly, with the escapes of JSON (also where JSON text was put into JSON text, up to four
//       levels), with those of URLs, each character in any of these ways; and its base64 and hexadecimal forms, also within
//       longer ones.
//   R2. JSON stays JSON: only whole strings, keys and numbers of it are looked at and replaced.
//   R3. A long value is looked for in parts, so that a part of it is found as well.

import type { JsonText } from './json.ts';

/** What stands where the value of a secret was. */
export const REDACTED = '***';

/** Characters of the parts that a long value is looked for in; the last may be longer, by less than this. */
const PART_LENGTH = 64;
/** Levels of a value of JavaScript that are looked at. */
const DEPTH_MAX = 20;

export interface Redactor {
  /** Whether the text has a secret in it. */
  finds(text: string): boolean;
  text(text: string): string;
  /** @returns the same text where there is nothing to replace. */
  json(text: JsonText): JsonText;
  /** Any value of JavaScript, for log lines. @returns the same value where there is nothing to replace. */
  value(value: unknown): unknown;
}

/** Makes a redactor of these values; undefined when there are none. Empty values are passed over. */
export function createRedactor(values: Iterable<string>): Redactor | undefined {
  const parts = [...new Set([...values].flatMap(partsOf))];
  return parts.length === 0 ? undefined : new PatternRedactor(parts.flatMap(patternsOf));
}

class PatternRedactor implements Redactor {
  readonly #patterns: readonly RegExp[];

  constructor(sources: readonly string[]) {
    this.#patterns = [...new Set(sources)].map((source) => new RegExp(source, 'g'));
  }

  finds(text: string): boolean {
    return this.#patterns.some((pattern) => {
      pattern.lastIndex = 0;
      return pattern.test(text);
    });
  }

  text(text: string): string {
    const found = this.#patterns.flatMap((pattern) => matches(pattern, text)).sort(([a], [b]) => a - b);
    if (found.length === 0) return text;
    let redacted = '';
    let kept = 0; // up to here the text is in `redacted`
    for (const [from, to] of found) {
      if (from > kept || kept === 0) redacted += text.slice(kept, from) + REDACTED;
      kept = Math.max(kept, to);
    }
    return redacted + text.slice(kept);
  }

  json(text: JsonText): JsonText {
    if (!this.finds(text)) return text;
    // JSON.parse calls nothing of what it reads; what it gives is written back the same, but for what is replaced.
    return JSON.stringify(this.#jsonValue(JSON.parse(text))) as JsonText;
  }

  value(value: unknown): unknown {
    return this.#anyValue(value, 0, new Set());
  }

  #jsonValue(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'number') return this.finds(String(value)) ? REDACTED : value;
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value)) return value.map((item) => this.#jsonValue(item));
    return fromEntries(Object.entries(value).map(([key, item]) => [this.text(key), this.#jsonValue(item)]));
  }

  #anyValue(value: unknown, depth: number, within: Set<object>): unknown {
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'number' || typeof value === 'bigint') return this.finds(String(value)) ? REDACTED : value;
    if (value === null || typeof value !== 'object') return value;
    if (depth === DEPTH_MAX || within.has(value)) return '…';
    within.add(value);
    try {
      if (value instanceof Date) return value;
      const isError = value instanceof Error;
      const entries = isError ? errorEntries(value) : iterableEntries(value);
      let changed = false;
      const redacted = entries.map(([key, item]): [string, unknown] => {
        const pair: [string, unknown] = [this.text(key), this.#anyValue(item, depth + 1, within)];
        changed ||= pair[0] !== key || pair[1] !== item;
        return pair;
      });
      if (!changed) return value;
      if (Array.isArray(value)) return redacted.map(([, item]) => item);
      return isError ? Object.assign(new Error(), fromEntries(redacted)) : fromEntries(redacted);
    } catch {
      return REDACTED; // it cannot be read, so nobody can tell what is in it
    } finally {
      within.delete(value);
    }
  }
}

/** Where a pattern fits, also where these places overlap. */
function matches(pattern: RegExp, text: string): [from: number, to: number][] {
  const found: [number, number][] = [];
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    found.push([match.index, pattern.lastIndex]);
    pattern.lastIndex = match.index + 1;
  }
  return found;
}

const errorEntries = (error: Error): [string, unknown][] => [
  ...(['name', 'message', 'stack', 'cause'] as const).flatMap((key): [string, unknown][] =>
    error[key] === undefined ? [] : [[key, error[key]]],
  ),
  ...Object.entries(error),
];

function iterableEntries(value: object): [string, unknown][] {
  if (value instanceof Map) return [...value].map(([key, item]) => [String(key), item]);
  if (value instanceof Set) return [...value].map((item, i) => [String(i), item]);
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return [['bytes', new TextDecoder().decode(bytes)]];
  }
  return Object.entries(value);
}

/** Object.fromEntries, where a key may be `__proto__`. */
function fromEntries(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [key, value] of entries)
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
  return object;
}

function partsOf(value: string): string[] {
  const characters = [...value];
  if (characters.length < 2 * PART_LENGTH) return value === '' ? [] : [value];
  const parts: string[] = [];
  for (let from = 0; from < characters.length; from += PART_LENGTH) {
    const isLast = characters.length - from < 2 * PART_LENGTH;
    parts.push(characters.slice(from, isLast ? undefined : from + PART_LENGTH).join(''));
    if (isLast) break;
  }
  return parts;
}

function patternsOf(part: string): string[] {
  const escaped = [part, JSON.stringify(part).slice(1, -1), encodeURIComponent(part), formEncoded(part)];
  const encoded = [...new Set(escaped)].flatMap((text) => {
    const bytes = new TextEncoder().encode(text);
    return [...[0, 1, 2].map((offset) => inBase64(bytes, offset)), inHex(bytes)];
  });
  return [writtenOut(part), ...encoded];
}

/** Each character by itself may be plain, escaped as in JSON, or escaped as in a URL. */
function writtenOut(text: string): string {
  let pattern = '';
  for (let i = 0; i < text.length; ) {
    const backslashes = /^\\+/.exec(text.slice(i))?.[0].length ?? 0;
    if (backslashes > 0) {
      // However often they were doubled. One quantifier for all of them: several would be tried in every combination.
      pattern += `(?:${BACKSLASH}{${backslashes},${backslashes * DOUBLED_MAX}}|(?:${ESCAPING}u005[cC]){${backslashes}})`;
      i += backslashes;
      continue;
    }
    const character = String.fromCodePoint(text.codePointAt(i) ?? 0);
    pattern += waysOf(character);
    i += character.length;
  }
  return pattern;
}

/** How many backslashes one becomes in JSON text that was put into JSON text three times. A bound also keeps the time bounded. */
const DOUBLED_MAX = 16;
const BACKSLASH = '(?:\\\\|%(?:25){0,4}5[cC])';
const ESCAPING = `${BACKSLASH}{1,${DOUBLED_MAX}}`;

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
  '"': '"',
  "'": "'",
  '/': '/',
};

function waysOf(character: string): string {
  const ways = [literal(character), inUrl(character)];
  const short = SHORT_ESCAPES[character];
  if (short !== undefined) ways.push(`${ESCAPING}(?:${literal(short)}|${inUrl(short)})`);
  if (character === ' ') ways.push('\\+');
  const units = Array.from({ length: character.length }, (_, i) =>
    character.charCodeAt(i).toString(16).padStart(4, '0'),
  );
  ways.push(units.map((unit) => `${ESCAPING}u${eitherCase(unit)}`).join(''));
  return `(?:${ways.join('|')})`;
}

const inUrl = (character: string) =>
  [...new TextEncoder().encode(character)].map((byte) => `%(?:25){0,4}${hexOf(byte)}`).join('');

/**
 * The base64 characters that the bytes alone decide, when they begin at this place within a group of three. One more on each
 * side, which they decide in part, goes with them.
 */
function inBase64(bytes: Uint8Array, offset: number): string {
  const shifted = new Uint8Array(offset + bytes.length);
  shifted.set(bytes, offset);
  const text = btoa(String.fromCharCode(...shifted));
  const decided = text.slice([0, 2, 3][offset], Math.floor(((offset + bytes.length) * 8) / 6));
  const any = '[A-Za-z0-9+/_-]?';
  const core = [...decided].map((character) => BASE64_WAYS[character] ?? character).join('');
  return `${offset === 0 ? '' : any}${core}${(offset + bytes.length) % 3 === 0 ? '' : any}`;
}

/** The two characters that alphabets of base64 differ in, also as they are escaped in JSON and in URLs. */
const BASE64_WAYS: Readonly<Record<string, string>> = {
  '+': '(?:[+-]|%(?:25){0,4}2[bB])',
  '/': '(?:\\\\{0,16}/|_|%(?:25){0,4}2[fF])',
};

const formEncoded = (text: string) => new URLSearchParams([['', text]]).toString().slice(1);

const inHex = (bytes: Uint8Array) => [...bytes].map(hexOf).join('');
const hexOf = (byte: number) => eitherCase(byte.toString(16).padStart(2, '0'));
const eitherCase = (hex: string) => hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
