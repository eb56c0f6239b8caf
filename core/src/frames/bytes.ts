// Protobuf's wire format, written and read by hand: frames are on the path of every step, and a codec that knows its message
// costs a fraction of one that is told by descriptors. https://protobuf.dev/programming-guides/encoding/

import { ValidationError } from '../errors.ts';

const CHUNK_BYTES = 64 * 1024;
/** Bytes that are kept free for a length that is known only afterwards: a varint of up to 28 bits, padded. */
const LENGTH_BYTES = 4;
const LENGTH_MAX = 2 ** 28 - 1;
/** Shorter texts are written unit by unit. */
const SHORT_TEXT = 48;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Writes messages one after the other; what has been taken is never written to again. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #start = 0;
  #at = 0;

  get length(): number {
    return this.#at - this.#start;
  }

  /** What was written since the last take. */
  take(): Uint8Array {
    const taken = this.#buffer.subarray(this.#start, this.#at);
    this.#start = this.#at;
    return taken;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = value;
  }

  /** A field that is 0 is left out. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(15);
    this.#varint(field * 8 + VARINT);
    this.#varint(value);
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1);
  }

  double(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(13);
    this.#varint(field * 8 + FIXED64);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  /** A field that is empty is left out. */
  text(field: number, text: string): void {
    if (text !== '') this.item(field, text);
  }

  /** An element of a repeated field: empty ones count. */
  item(field: number, text: string): void {
    const units = text.length;
    this.#reserve(10 + units * 3);
    this.#varint(field * 8 + BYTES);
    if (units < SHORT_TEXT && this.#ascii(text)) return;
    const bytes = Buffer.byteLength(text);
    this.#varint(bytes);
    this.#at += this.#buffer.write(text, this.#at);
  }

  /** Begins a message within the message. @returns what `end` needs. */
  begin(field: number): number {
    this.#reserve(5 + LENGTH_BYTES);
    this.#varint(field * 8 + BYTES);
    this.#at += LENGTH_BYTES;
    return this.length;
  }

  end(begun: number): void {
    const length = this.length - begun;
    if (length > LENGTH_MAX) throw new RangeError(`a message of ${length} bytes is too long for its length`);
    let at = this.#start + begun - LENGTH_BYTES;
    this.#buffer[at++] = (length & 0x7f) | 0x80;
    this.#buffer[at++] = ((length >>> 7) & 0x7f) | 0x80;
    this.#buffer[at++] = ((length >>> 14) & 0x7f) | 0x80;
    this.#buffer[at] = (length >>> 21) & 0x7f;
  }

  /** Leaves room for 32 bits, big-endian. @returns where they are. */
  hole32(): number {
    this.#reserve(4);
    this.#at += 4;
    return this.length - 4;
  }

  fill32(at: number, value: number): void {
    this.#buffer.writeUInt32BE(value, this.#start + at);
  }

  #ascii(text: string): boolean {
    const before = this.#at;
    let at = before;
    this.#buffer[at++] = text.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      this.#buffer[at++] = code;
    }
    this.#at = at;
    return true;
  }

  #varint(value: number): void {
    let left = value;
    while (left > 0x7f) {
      this.#buffer[this.#at++] = (left % 0x80) | 0x80;
      left = Math.floor(left / 0x80);
    }
    this.#buffer[this.#at++] = left;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const length = this.length;
    const larger = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, 2 * (length + bytes)));
    this.#buffer.copy(larger, 0, this.#start, this.#at);
    this.#buffer = larger;
    this.#start = 0;
    this.#at = length;
  }
}

/** The same bytes, with Node's methods. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads one message, field by field: `while (reader.next()) switch (reader.field) …`. Fields not read are passed over. */
export class ByteReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;
  #type = VARINT;
  #pending = false;
  /** Number of the field that `next` came to. */
  field = 0;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#buffer = bufferOf(bytes);
    this.#at = at;
    this.#end = end;
  }

  /** @throws {ValidationError} when the bytes are no message. */
  next(): boolean {
    if (this.#pending) this.#skip();
    if (this.#at >= this.#end) return false;
    const key = this.#varint();
    this.field = Math.floor(key / 8);
    this.#type = key % 8;
    this.#pending = true;
    return true;
  }

  uint(): number {
    this.#expect(VARINT);
    return this.#varint();
  }

  bool(): boolean {
    return this.uint() !== 0;
  }

  double(): number {
    this.#expect(FIXED64);
    const at = this.#take(8);
    return this.#buffer.readDoubleLE(at);
  }

  text(): string {
    this.#expect(BYTES);
    const length = this.#varint();
    const at = this.#take(length);
    return this.#buffer.toString('utf8', at, at + length);
  }

  message(): ByteReader {
    this.#expect(BYTES);
    const length = this.#varint();
    const at = this.#take(length);
    return new ByteReader(this.#buffer, at, at + length);
  }

  #expect(type: number): void {
    if (this.#type !== type) throw malformed(`field ${this.field} has the wrong type`);
    this.#pending = false;
  }

  #skip(): void {
    this.#pending = false;
    if (this.#type === VARINT) this.#varint();
    else if (this.#type === FIXED64) this.#take(8);
    else if (this.#type === BYTES) this.#take(this.#varint());
    else if (this.#type === FIXED32) this.#take(4);
    else throw malformed(`field ${this.field} has an unknown type`);
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end) throw malformed('it ends too early');
    this.#at = at + bytes;
    return at;
  }

  #varint(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 56; factor *= 0x80) {
      if (this.#at >= this.#end) throw malformed('it ends too early');
      const byte = this.#buffer[this.#at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw malformed('a number is too large');
  }
}

function malformed(why: string): ValidationError {
  return new ValidationError(`A frame cannot be read: ${why}.`);
}
