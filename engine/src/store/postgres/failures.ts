// What PostgreSQL's errors mean to the store.

import pg from 'pg';
import { StoreUnavailableError } from '../errors.ts';

/** Whether the connection is gone: anything that the server did not send as the error of one statement. */
export function isLost(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || error.severity === 'FATAL' || error.severity === 'PANIC';
}

const codeOf = (error: unknown): string => (error instanceof pg.DatabaseError ? (error.code ?? '') : '');

/** Somebody inserted the same key, or the same value of a unique index, at the same time. */
export function isTaken(error: unknown): boolean {
  return codeOf(error) === '23505'; // unique_violation
}

/** The table whose unique index refused a row. */
export function takenIn(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.table : undefined;
}

/** Others were in the way; the same transaction may pass when tried again. */
export function isRetryable(error: unknown): boolean {
  // serialization_failure, deadlock_detected, lock_not_available
  return isTaken(error) || ['40001', '40P01', '55P03'].includes(codeOf(error));
}

/** A wrong password or database name stays wrong, and so does a right that is missing; a server that starts, stops or is full passes. */
export function isLasting(error: unknown): boolean {
  return /^(28|3D|42)/.test(codeOf(error));
}

/** A statement of a transaction in which an earlier one failed: the earlier error says why. */
export function isAftermath(error: unknown): boolean {
  return codeOf(error) === '25P02'; // in_failed_sql_transaction
}

/** @param outcome - What became of what was being written, if anything was. */
export function unavailable(error: unknown, outcome = ''): StoreUnavailableError {
  if (error instanceof StoreUnavailableError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  return new StoreUnavailableError(
    isLost(error)
      ? `The connection to PostgreSQL was lost: ${reason}.${outcome} Check that the server runs; the store connects again by itself.`
      : `PostgreSQL refused a statement: ${reason} (SQLSTATE ${code}).${outcome}`,
    error,
    isLasting(error),
  );
}
