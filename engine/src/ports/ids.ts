import { randomFillSync } from 'node:crypto';

/** Makes ids: `<prefix>_` and 26 characters that sort by the time of their making. */
export interface Ids {
  next(prefix: string, now: number): string;
  /** A secret that cannot be guessed. */
  token(): string;
  /** A random whole number from 0 to 2^52 - 1. */
  number(): number;
}

/** Fills an array with random bytes. */
export type RandomBytes = (bytes: Uint8Array) => void;

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** The time in an id, as its first ten characters: ids of this time and later sort from here on. */
export function timeText(ms: number): string {
  let text = '';
  for (let rest = ms, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) text = DIGITS[rest % 32] + text;
  return text;
}

/** The time that such text stands for; undefined when it is none. */
export function timeFromText(text: string): number | undefined {
  let ms = 0;
  for (const digit of text) {
    const value = DIGITS.indexOf(digit);
    if (value < 0) return undefined;
    ms = ms * 32 + value;
  }
  return ms;
}

/**
 * Ids in the manner of ULIDs (github.com/ulid/spec), in lower case: 48 bits of milliseconds and 80 of randomness, in
 * base 32. Within one millisecond each id is one more than the last, so ids of one maker always grow.
 */
export function createIds(randomBytes: RandomBytes = (bytes) => randomFillSync(bytes)): Ids {
  let lastMs = -1;
  let time = '';
  const digits = new Uint8Array(16);
  const pool = new Uint8Array(1024);
  let used = pool.length;

  const randomDigits = (target: Uint8Array) => {
    for (let i = 0; i < target.length; i++) {
      if (used === pool.length) {
        randomBytes(pool);
        used = 0;
      }
      target[i] = (pool[used++] ?? 0) & 31;
    }
  };
  const text = (values: Uint8Array) => {
    let out = '';
    for (const value of values) out += DIGITS[value];
    return out;
  };
  const increment = () => {
    for (let i = digits.length - 1; i >= 0; i--) {
      const digit = digits[i] ?? 0;
      if (digit < 31) {
        digits[i] = digit + 1;
        return;
      }
      digits[i] = 0;
    }
  };

  return {
    next(prefix, now) {
      if (now > lastMs) {
        lastMs = now;
        time = timeText(now);
        randomDigits(digits);
      } else increment();
      return `${prefix}_${time}${text(digits)}`;
    },
    number() {
      let value = 0;
      const values = new Uint8Array(11);
      randomDigits(values);
      for (const digit of values.subarray(0, 10)) value = value * 32 + digit;
      return value * 4 + ((values[10] ?? 0) & 3);
    },
    token() {
      const secret = new Uint8Array(26);
      randomDigits(secret);
      return text(secret);
    },
  };
}
