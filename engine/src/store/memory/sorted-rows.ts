import type { Value } from '../table.ts';

/** Orders values as every adapter must: null before false before true, numbers by size, text by its code points. */
export function compareValues(a: Value, b: Value): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  return Number(a) < Number(b) ? -1 : 1;
}

/** By UTF-8 bytes, as SQLite and PostgreSQL's "C" collation do: surrogate pairs sort after the rest of the plane. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      const xHigh = x >= 0xd800 && x <= 0xdfff;
      const yHigh = y >= 0xd800 && y <= 0xdfff;
      if (xHigh !== yHigh) return xHigh ? 1 : -1;
      return x < y ? -1 : 1;
    }
  }
  return a.length - b.length;
}

function compareKeys(a: readonly Value[], b: readonly Value[], length = Math.min(a.length, b.length)): number {
  for (let i = 0; i < length; i++) {
    const order = compareValues(a[i] ?? null, b[i] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

/** Entries in order of their keys, in one array: plain, and fast enough for what a memory store is for. */
export class SortedRows<T> {
  readonly #keys: (readonly Value[])[] = [];
  readonly #values: T[] = [];

  get size(): number {
    return this.#keys.length;
  }

  insert(key: readonly Value[], value: T): void {
    const at = this.lowerBound(key);
    this.#keys.splice(at, 0, key);
    this.#values.splice(at, 0, value);
  }

  remove(key: readonly Value[]): void {
    const at = this.lowerBound(key);
    const found = this.#keys[at];
    if (found !== undefined && compareKeys(found, key, key.length) === 0) {
      this.#keys.splice(at, 1);
      this.#values.splice(at, 1);
    }
  }

  keyAt(at: number): readonly Value[] | undefined {
    return this.#keys[at];
  }

  valueAt(at: number): T | undefined {
    return this.#values[at];
  }

  /** The first place whose key is not before `key`, comparing as many columns as `key` has. */
  lowerBound(key: readonly Value[]): number {
    return this.#search((candidate) => compareKeys(candidate, key, key.length) < 0);
  }

  /** The first place whose key is after `key`, comparing as many columns as `key` has. */
  upperBound(key: readonly Value[]): number {
    return this.#search((candidate) => compareKeys(candidate, key, key.length) <= 0);
  }

  #search(isBefore: (key: readonly Value[]) => boolean): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const key = this.#keys[middle];
      if (key !== undefined && isBefore(key)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
