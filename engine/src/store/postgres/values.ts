// Values on their way to PostgreSQL and back.
//   V1. Text comes back as it was given and sorts as in the other stores, although PostgreSQL has no NUL in text.
//   V2. Many values travel as one binary array for each column: no quoting here, no parsing there (docs/adr/0010).

import type { ColumnType, Value } from '../table.ts';

export type Parameter = string | Buffer | null;

/** PostgreSQL's type for each column type. */
export const SQL_TYPE = {
  text: 'text',
  json: 'text',
  integer: 'bigint',
  real: 'double precision',
  boolean: 'boolean',
} as const satisfies Record<ColumnType, string>;

/** Object ids of the types in binary arrays; they are part of the protocol and never change. */
const TEXT = 25;
const BIGINT = 20;
const DOUBLE = 701;
const BOOLEAN = 16;

const ESCAPE = '\u0001';

/**
 * Text without NUL: U+0000 becomes U+0001 U+0001, and U+0001 becomes U+0001 U+0002. Distinct texts stay distinct, their
 * order stays, and text with neither character (all but everything) stays as it is.
 */
export function encodeText(text: string): string {
  if (!text.includes('\0') && !text.includes(ESCAPE)) return text;
  return text.replaceAll(ESCAPE, '\u0001\u0002').replaceAll('\0', '\u0001\u0001');
}

function decodeText(text: string): string {
  if (!text.includes(ESCAPE)) return text;
  // From the left, so that a pair is never taken for the halves of two.
  return text.replaceAll('\u0001\u0001', '\0').replaceAll('\u0001\u0002', ESCAPE);
}

/** One value as a parameter in text form. */
export function parameterFrom(value: Value): Parameter {
  if (value === null) return null;
  return typeof value === 'string' ? encodeText(value) : String(value);
}

/** Values of one column as a parameter, in the binary form of a one-dimensional array. */
export function arrayFrom(type: ColumnType, values: readonly Value[]): Buffer {
  switch (type) {
    case 'text':
    case 'json':
      return textArray(values);
    case 'integer':
      return fixedArray(BIGINT, 8, values, writeInteger);
    case 'real':
      return fixedArray(DOUBLE, 8, values, (buffer, value, at) => buffer.writeDoubleBE(Number(value), at));
    case 'boolean':
      return fixedArray(BOOLEAN, 1, values, (buffer, value, at) => buffer.writeUInt8(value === true ? 1 : 0, at));
  }
}

/** Number of dimensions, whether there are nulls, the element type, the length, the index of the first: 4 bytes each. */
const HEADER_BYTES = 20;
const NULL_LENGTH = -1;

function header(buffer: Buffer, elementType: number, values: readonly Value[]): void {
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(values.includes(null) ? 1 : 0, 4);
  buffer.writeInt32BE(elementType, 8);
  buffer.writeInt32BE(values.length, 12);
  buffer.writeInt32BE(1, 16);
}

function textArray(values: readonly Value[]): Buffer {
  const texts = values.map((value) => (value === null ? null : encodeText(String(value))));
  const lengths = texts.map((text) => (text === null ? NULL_LENGTH : Buffer.byteLength(text)));
  const bytes = lengths.reduce((sum, length) => sum + 4 + Math.max(0, length), HEADER_BYTES);
  const buffer = Buffer.allocUnsafe(bytes);
  header(buffer, TEXT, values);
  let at = HEADER_BYTES;
  for (const [i, text] of texts.entries()) {
    const length = lengths[i] ?? NULL_LENGTH;
    at = buffer.writeInt32BE(length, at);
    if (text !== null) at += buffer.write(text, at, length, 'utf8');
  }
  return buffer;
}

function fixedArray(
  elementType: number,
  elementBytes: number,
  values: readonly Value[],
  write: (buffer: Buffer, value: Value, at: number) => void,
): Buffer {
  const present = values.reduce<number>((count, value) => count + (value === null ? 0 : 1), 0);
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + 4 * values.length + elementBytes * present);
  header(buffer, elementType, values);
  let at = HEADER_BYTES;
  for (const value of values) {
    at = buffer.writeInt32BE(value === null ? NULL_LENGTH : elementBytes, at);
    if (value === null) continue;
    write(buffer, value, at);
    at += elementBytes;
  }
  return buffer;
}

/** As two halves: BigInt would cost an object for each value. Exact for all integers that a number holds. */
function writeInteger(buffer: Buffer, value: Value, at: number): void {
  if (!Number.isSafeInteger(value)) throw new TypeError(`an integer column cannot hold ${String(value)}`);
  const number = Number(value);
  const high = Math.floor(number / 2 ** 32);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(number - high * 2 ** 32, at + 4);
}

/** How the text form of each result type is read. Types that no declared column has stay text. */
export function readerOf(typeId: number): (text: string) => unknown {
  switch (typeId) {
    case TEXT:
      return decodeText;
    case BIGINT:
    case DOUBLE:
      return Number;
    case BOOLEAN:
      return (text) => text === 't';
    default:
      return (text) => text;
  }
}
