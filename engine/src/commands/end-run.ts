import { encodeJson, type JsonText, stepNameFromId } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { endRun, isEnded, jobIdOf, type RunEnd } from '../kernel/run.ts';
import { type RunRow, runs, waits } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { isStepped, meetWait, type SteppedWait, type WaitOutcome } from './waits.ts';

export async function completeRun(tx: Transaction, run: RunRow, output: JsonText, ports: CommandPorts): Promise<void> {
  await end(tx, run, { status: 'completed', output }, { status: 'completed', output }, ports);
}

/** @param revoke - Whether a worker that holds the run's lease must be told; it need not be when it said so itself. */
export async function failRun(
  tx: Transaction,
  run: RunRow,
  error: Failure,
  ports: CommandPorts,
  revoke = true,
): Promise<void> {
  const text = encodeJson(error, `error of run ${run.id}`);
  const forParent: WaitOutcome = { status: 'failed', error: childFailure(run, error, 'failed') };
  await end(tx, run, { status: 'failed', error: text }, forParent, ports, revoke ? error : undefined);
}

/** Cancels a run that has not ended. Its worker is told; what a step has done already stays done. */
export async function cancelRun(
  tx: Transaction,
  { runId, reason }: { readonly runId: string; readonly reason: string },
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
  const text = encodeJson(error, `error of run ${run.id}`);
  const forParent: WaitOutcome = { status: 'failed', error: childFailure(run, error, 'was cancelled') };
  return end(tx, run, { status: 'cancelled', error: text }, forParent, ports, error);
}

/** Ends the run, drops what it still waited for, and tells the run that invoked it. */
async function end(
  tx: Transaction,
  run: RunRow,
  how: RunEnd,
  forParent: WaitOutcome,
  ports: CommandPorts,
  revokedFor?: Failure,
): Promise<RunRow> {
  const ended = endRun(run, how, tx.now);
  tx.update(runs, ended);
  // Also waits that are met but not taken up: a retry that is due stays until its attempt is recorded.
  if (run.openWaits > 0 || run.wakes > 0) {
    const left = await tx.scan({ table: waits, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
    for (const { runId, stepId } of left) tx.delete(waits, [runId, stepId]);
  }
  tx.afterCommit(() => {
    if (run.status === 'running' && run.leaseSession !== null) {
      const jobId = jobIdOf(run.id, run.fence);
      if (revokedFor === undefined) ports.outside.jobEnded(run.leaseSession, jobId);
      else ports.outside.jobRevoked(run.leaseSession, jobId, revokedFor.code, revokedFor.message);
    }
    ports.outside.runEnded(ended);
  });
  if (run.parentRunId !== null && run.parentStepId !== null) {
    const wait = await tx.get(waits, [run.parentRunId, run.parentStepId]);
    const parent = await tx.get(runs, [run.parentRunId]);
    if (wait !== null && isStepped(wait) && parent !== null) await settleWait(tx, parent, wait, forParent, ports);
  }
  return ended;
}

/** Ends a wait with any outcome. Where the worker's contract cannot tell the function of a failure, the run fails whole. */
export async function settleWait(
  tx: Transaction,
  run: RunRow,
  wait: SteppedWait,
  outcome: WaitOutcome,
  ports: CommandPorts,
): Promise<void> {
  if (isEnded(run)) tx.delete(waits, [wait.runId, wait.stepId]);
  else if (outcome.status !== 'completed' && !wait.failable) await failRun(tx, run, outcome.error, ports);
  else await meetWait(tx, run, wait, outcome, ports);
}

function childFailure(run: RunRow, error: Failure, what: string): Failure {
  const step = run.parentStepId === null ? '' : ` (step "${stepNameFromId(run.parentStepId)}")`;
  return {
    name: 'InvokeError',
    code: 'INVOKE_FAILED',
    retryable: false,
    message: `Function "${run.functionId}" ${what}${step}: ${error.message}`,
    details: {
      functionId: run.functionId,
      childRunId: run.id,
      cause: { message: error.message, code: error.code, name: error.name },
    },
  };
}
