// Envelopes of Connect's streaming protocol: a byte of flags, four of length, the message.
// https://connectrpc.com/docs/protocol#streaming-request

import { LimitError, ValidationError } from '../errors.ts';
import { bufferOf } from './bytes.ts';

export const ENVELOPE_BYTES = 5;
/** The last envelope of a response: its message is JSON that says how the stream ended. */
export const END_OF_STREAM = 0x02;
const COMPRESSED = 0x01;

export interface Envelope {
  readonly isEnd: boolean;
  readonly message: Uint8Array;
}

/** Puts a message into an envelope. */
export function enveloped(message: Uint8Array, flags = 0): Uint8Array {
  const envelope = Buffer.allocUnsafe(ENVELOPE_BYTES + message.length);
  envelope[0] = flags;
  envelope.writeUInt32BE(message.length, 1);
  envelope.set(message, ENVELOPE_BYTES);
  return envelope;
}

/** Takes messages out of what arrives, in pieces of any size. */
export class EnvelopeReader {
  readonly #bytesMax: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Bytes that are needed before there is more to see. */
  #needed = ENVELOPE_BYTES;

  /** @param bytesMax - Longest message that is taken. */
  constructor(bytesMax = Number.POSITIVE_INFINITY) {
    this.#bytesMax = bytesMax;
  }

  /** @throws {LimitError} for a message that is too large; {ValidationError} for a compressed one. */
  push(bytes: Uint8Array): Envelope[] {
    const piece = bufferOf(bytes);
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes < this.#needed) return [];
    let buffer = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces);
    const envelopes: Envelope[] = [];
    this.#needed = ENVELOPE_BYTES;
    while (buffer.length >= ENVELOPE_BYTES) {
      const length = buffer.readUInt32BE(1);
      if (length > this.#bytesMax) throw tooLarge(length, this.#bytesMax);
      const end = ENVELOPE_BYTES + length;
      if (buffer.length < end) {
        this.#needed = end;
        break;
      }
      const flags = buffer[0] ?? 0;
      if ((flags & COMPRESSED) !== 0) throw new ValidationError('A message is compressed; send it as it is.');
      envelopes.push({ isEnd: (flags & END_OF_STREAM) !== 0, message: buffer.subarray(ENVELOPE_BYTES, end) });
      buffer = buffer.subarray(end);
    }
    this.#pieces = buffer.length === 0 ? [] : [buffer];
    this.#bytes = buffer.length;
    return envelopes;
  }
}

function tooLarge(bytes: number, value: number): LimitError {
  return new LimitError(`A message of ${bytes} bytes is larger than the ${value} allowed.`, {
    code: 'PAYLOAD_TOO_LARGE',
    details: { limit: 'reportBytesMax', value, bytes },
  });
}
