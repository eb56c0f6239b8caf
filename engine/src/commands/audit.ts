// The audit trail of a run: what was done to it, by whom and why, in the commit that did it.

import { encodeJson } from '@ironflow/core';
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
  | 'step.patched';

export function recordOperation(
  tx: Transaction,
  run: Pick<RunRow, 'id' | 'env' | 'functionId'>,
  entry: Operation & {
    readonly type: OperationType;
    readonly stepId?: string;
    readonly payload?: Readonly<Record<string, unknown>>;
  },
): void {
  const { type, stepId, actor, reason, payload } = entry;
  tx.insert(runAudit, {
    runId: run.id,
    id: tx.newId('aud'),
    env: run.env,
    functionId: run.functionId,
    stepId: stepId ?? null,
    type,
    actor,
    reason: reason === '' ? null : reason,
    payload: payload === undefined ? null : encodeJson(payload, `audit entry of run ${run.id}`),
    createdAt: tx.now,
    expiresAt: null,
  });
}
