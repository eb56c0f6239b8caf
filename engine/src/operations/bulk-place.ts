// Where a bulk operation is: which status it goes through, and how far it has come there, from the newest run to the oldest.

import { ValidationError } from '@ironflow/core';
import { timeText } from '../ports/ids.ts';
import type { RunStatus } from '../store/tables.ts';

export interface BulkPlace {
  readonly pass: number;
  /** Runs before this id are yet to be done. */
  readonly before: string;
  /** Runs from this id on were started after the operation. */
  readonly newest: string;
}

/**
 * The statuses that an operation goes through where the filter names none. Runs move while it goes on, from waiting to queued to
 * running and back, so those are gone through again at the end.
 */
export const BULK_STATUSES = {
  cancel: ['queued', 'waiting', 'running', 'paused', 'queued', 'waiting', 'running'],
  pause: ['queued', 'waiting', 'running', 'queued', 'waiting', 'running'],
  resume: ['paused'],
  retry: ['failed'],
} as const satisfies Record<string, readonly RunStatus[]>;

export function firstPlace(now: number): BulkPlace {
  const newest = `run_${timeText(now + 1)}`;
  return { pass: 0, before: newest, newest };
}

export const textOf = ({ pass, before, newest }: BulkPlace) =>
  Buffer.from(`${pass} ${before} ${newest}`).toString('base64url');

export function placeFrom(cursor: string): BulkPlace {
  const found = /^(\d) (run_[0-9a-z]+) (run_[0-9a-z]+)$/.exec(Buffer.from(cursor, 'base64url').toString());
  const [, pass, before, newest] = found ?? [];
  if (pass !== undefined && before !== undefined && newest !== undefined) return { pass: Number(pass), before, newest };
  throw new ValidationError('The cursor was not made by a bulk operation. Pass on the nextCursor of the call before.', {
    validationErrors: [{ path: 'cursor', message: 'is not a cursor' }],
  });
}
