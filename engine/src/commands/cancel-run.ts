import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import { type RunRow, runs } from '../store/tables.ts';
import { type Operation, recordOperation } from './audit.ts';
import { beginEnding, endCancelled, requeue } from './end-run.ts';
import type { CommandPorts } from './ports.ts';

export interface CancelRunInput extends Operation {
  readonly runId: string;
  /** Whether what the run has registered is undone first. */
  readonly compensate?: boolean;
}

/** Cancels a run that has not ended. Its worker is told; what a step has done already stays done, or is undone where that is asked. */
export async function cancelRun(
  tx: Transaction,
  { runId, reason, actor, compensate = false }: CancelRunInput,
  ports: CommandPorts,
): Promise<RunRow | null> {
  const run = await tx.get(runs, [runId]);
  if (run === null || isEnded(run)) return run;
  const error: Failure = {
    name: 'RunCancelledError',
    code: 'RUN_CANCELLED',
    retryable: false,
    message: reason === '' ? 'The run was cancelled.' : `The run was cancelled: ${reason}`,
  };
  if (compensate && run.ending !== null) return run; // it is being undone already
  const payload = { status: run.status, compensate };
  recordOperation(tx, run, { type: 'run.cancelled', actor, reason, payload });
  // One that nobody has begun has nothing to undo.
  if (!compensate || run.fence === 0) return endCancelled(tx, run, error, ports);
  const undone = await beginEnding(tx, { ...run, pause: null }, { status: 'cancelled', error });
  const ready = await requeue(tx, undone, error, ports);
  tx.update(runs, ready);
  return ready;
}
