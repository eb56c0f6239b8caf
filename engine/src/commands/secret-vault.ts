import { createRedactor, IronflowError, type Redactor } from '@ironflow/core';
import type { SecretRow } from '../store/tables.ts';

interface Box {
  readonly keyId: string | undefined;
  has(keyId: string): boolean;
  seal(text: string, place: string): { readonly keyId: string; readonly sealed: string };
  open(sealed: { readonly keyId: string; readonly sealed: string }, place: string): string;
}

/** Redactors kept. One is made again when its secrets change, and when so many others were used since. */
const REDACTORS_MAX = 200;

/** Opens what is stored, and keeps what was opened for the next job. */
export class SecretVault {
  readonly box: Box;
  readonly #redactors = new Map<string, Redactor | undefined>();

  constructor(box: Box) {
    this.box = box;
  }

  /** @throws {IronflowError} UNAVAILABLE when this engine has not the key, NOT_CONFIGURED when it has none. */
  valueOf(row: SecretRow): string {
    if (this.box.keyId === undefined) throw noKey();
    if (!this.box.has(row.keyId)) {
      throw new IronflowError(
        `Secret "${row.name}" is sealed with key ${row.keyId}, which this engine does not have. Add it to IRONFLOW_SECRET_KEY.`,
        { code: 'UNAVAILABLE', details: { secret: row.name, keyId: row.keyId } },
      );
    }
    try {
      return this.box.open(row, placeOf(row));
    } catch (cause) {
      throw new IronflowError(
        `Secret "${row.name}" cannot be opened: its row was changed, or moved, by something other than an engine. Set it again.`,
        { code: 'INTERNAL_ERROR', details: { secret: row.name }, cause },
      );
    }
  }

  redactorOf(rows: readonly SecretRow[]): Redactor | undefined {
    const key = rows.map(({ sealed }) => sealed).join(' ');
    if (!this.#redactors.has(key)) {
      if (this.#redactors.size >= REDACTORS_MAX) this.#redactors.clear();
      this.#redactors.set(key, createRedactor(rows.map((row) => this.valueOf(row))));
    }
    return this.#redactors.get(key);
  }
}

/** What a sealed value is bound to: it opens in its own row only. */
export const placeOf = ({ env, name, number }: Pick<SecretRow, 'env' | 'name' | 'number'>) =>
  JSON.stringify([env, name, number]);

export function noKey(): IronflowError {
  return new IronflowError(
    'This engine has no key to seal secrets with. Set IRONFLOW_SECRET_KEY to 32 random bytes (openssl rand -base64 32) and start it again.',
    { code: 'NOT_CONFIGURED' },
  );
}
