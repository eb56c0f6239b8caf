import { limits } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import { type RunRow, runs, waits } from '../store/tables.ts';
import { type Operation, recordOperation } from './audit.ts';
import { beginEnding, endCancelled, requeue } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
import { redactedOperation } from './secrets.ts';

export interface CancelRunInput extends Operation {
  readonly runId: string;
  /** Whether what the run has registered is undone first. */
  readonly compensate?: boolean;
}

/**
 * Cancels a run that has not ended, and the runs that it waits for, unless it was said that they stay. Its worker is told; what a step
 * has done already stays done, or is undone where that is asked.
 */
export async function cancelRun(
  tx: Transaction,
  { runId, compensate = false, ...asked }: CancelRunInput,
  ports: CommandPorts,
): Promise<RunRow | null> {
  const run = await tx.get(runs, [runId]);
  if (run === null || isEnded(run)) return run;
  const { actor, reason } = await redactedOperation(tx, run, asked, ports);
  const error: Failure = {
    name: 'RunCancelledError',
    code: 'RUN_CANCELLED',
    retryable: false,
    message: reason === '' ? 'The run was cancelled.' : `The run was cancelled: ${reason}`,
  };
  if (run.ending !== null && compensate) return run; // it is being undone, and goes on with that
  const payload = { status: run.status, compensate };
  recordOperation(tx, run, { type: 'run.cancelled', actor, reason, payload });
  const children = await childrenOf(tx, run);
  const cancelled = await cancelOne(tx, run, error, compensate, ports);
  for (const child of children) {
    const why = `run ${run.id}, which waited for it, was cancelled${reason === '' ? '' : `: ${reason}`}`;
    await cancelRun(tx, { runId: child, reason: why.slice(0, limits.errorTextLengthMax), actor, compensate }, ports);
  }
  return cancelled;
}

async function cancelOne(
  tx: Transaction,
  run: RunRow,
  error: Failure,
  compensate: boolean,
  ports: CommandPorts,
): Promise<RunRow> {
  // One that nobody has begun has nothing to undo.
  if (!compensate || run.fence === 0) return endCancelled(tx, run, error, ports);
  const undone = await beginEnding(tx, { ...run, pause: null }, { status: 'cancelled', error });
  const ready = await requeue(tx, undone, error, ports);
  tx.update(runs, ready);
  return ready;
}

/** Runs that it waits for and that end with it. */
async function childrenOf(tx: Transaction, run: RunRow): Promise<string[]> {
  if (run.openWaits === 0) return [];
  const open = await tx.scan({ table: waits, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
  return open.flatMap(({ kind, childRunId, childStays }) =>
    kind === 'child' && childRunId !== null && childStays !== true ? [childRunId] : [],
  );
}
