// The audit trail of a run: what was done to it, by whom and why, in the commit that did it. What the run does itself is recorded
// where its function asks for it (recording.ts).

import { encodeJson } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { type RunRow, runAudit } from '../store/tables.ts';

/** Who does something to a run, and why. */
export interface Operation {
  readonly actor: string;
  /** Empty when none was given. */
  readonly reason: string;
}

export type OperationType =
  | 'run.cancelled'
  | 'run.paused'
  | 'run.resumed'
  | 'run.restarted'
  | 'run.rerun'
  | 'step.patched'
  | 'step.decided';

/** What a run did; one that nobody willed has no actor. */
export interface Entry {
  readonly type: string;
  readonly stepId?: string;
  readonly actor?: string;
  readonly reason?: string;
  readonly payload?: Readonly<Record<string, unknown>>;
}

type Subject = Pick<RunRow, 'id' | 'env' | 'functionId'>;

export function recordOperation(
  tx: Transaction,
  run: Subject,
  entry: Operation & Omit<Entry, 'type'> & { readonly type: OperationType },
): void {
  addEntry(tx, run, entry, null);
}

/** @param expiresAt - When it leaves, whatever becomes of the run; null for with the run. */
export function addEntry(tx: Transaction, run: Subject, entry: Entry, expiresAt: number | null): void {
  const { type, stepId, actor, reason = '', payload } = entry;
  tx.insert(runAudit, {
    runId: run.id,
    id: tx.newId('aud'),
    env: run.env,
    functionId: run.functionId,
    stepId: stepId ?? null,
    type,
    actor: actor ?? null,
    reason: reason === '' ? null : reason,
    payload: payload === undefined ? null : encodeJson(payload, `audit entry of run ${run.id}`),
    createdAt: tx.now,
    expiresAt,
  });
}

/** What an entry has of an error. */
export const summaryOf = ({ code, name, message }: Failure) => ({ code, name, message: message.slice(0, 500) });
