import { encodeJson, invariant, type JsonText, stepNameFromId } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { endingOf, endRun, isEnded, jobIdOf, queueRun, type RunEnd, type RunEnding } from '../kernel/run.ts';
import { mayUndo } from '../kernel/worker-capabilities.ts';
import { type RunRow, runs, sessions, type WaitRow, waits } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { recordLostLease } from './run-attempts.ts';
import { makeReady } from './start-runs.ts';
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

export async function endCancelled(
  tx: Transaction,
  run: RunRow,
  error: Failure,
  ports: CommandPorts,
  revoke = true,
): Promise<RunRow> {
  const text = encodeJson(error, `error of run ${run.id}`);
  const forParent: WaitOutcome = { status: 'failed', error: childFailure(run, error, 'was cancelled') };
  return end(tx, run, { status: 'cancelled', error: text }, forParent, ports, revoke ? error : undefined);
}

// ── undoing ──

/**
 * A run is to be undone before it ends: what it waits for is dropped, and its ending is written down.
 * @returns the row to write: still leased, or in a state from which the caller makes it ready.
 */
export async function beginEnding(tx: Transaction, run: RunRow, ending: RunEnding): Promise<RunRow> {
  // Where compensations were tried before a restart, their numbers go on. What is met stays: its worker, which goes on under this lease,
  // may not have heard of it yet, and takes nothing that comes after it before.
  const isOfCompensation = ({ kind, name }: WaitRow) => kind === 'retry' && name.startsWith('compensate:');
  await dropWaits(tx, run, (wait) => wait.resolution !== null || isOfCompensation(wait));
  return {
    ...run,
    ending: encodeJson(ending, `ending of run ${run.id}`),
    openWaits: 0,
    retryAt: null,
    idleLeases: 0,
    updatedAt: tx.now,
  };
}

/**
 * A run fails for good over its worker's head. What it has registered runs first: nobody but a worker knows whether that is
 * anything, so one is asked.
 */
export async function failUndone(tx: Transaction, run: RunRow, error: Failure, ports: CommandPorts): Promise<void> {
  const holder = run.leaseSession === null ? null : await tx.get(sessions, [run.leaseSession]);
  if (run.fence === 0 || (holder !== null && !mayUndo(holder))) return failRun(tx, run, error, ports);
  const undone = await beginEnding(tx, run, { status: 'failed', error });
  tx.update(runs, await requeue(tx, undone, error, ports));
}

/** Takes a run from whoever has it, and makes it ready for its compensations. */
export async function requeue(tx: Transaction, run: RunRow, why: Failure, ports: CommandPorts): Promise<RunRow> {
  const { leaseSession, env, functionId, functionVersion: version } = run;
  if (run.status === 'queued') return run;
  if (run.status !== 'running' || leaseSession === null) return makeReady(tx, run, ports);
  recordLostLease(tx, run);
  const jobId = jobIdOf(run.id, run.fence);
  tx.afterCommit(() => {
    ports.outside.jobRevoked(leaseSession, jobId, why.code, why.message);
    if (run.pause === null) ports.outside.queued({ env, functionId, version });
  });
  return queueRun(run, tx.now);
}

/** Ends a run that has been undone, or cannot be. */
export async function finishEnding(tx: Transaction, run: RunRow, ports: CommandPorts, revoke: boolean): Promise<void> {
  const ending = endingOf(run);
  invariant(ending !== undefined, `a run that was undone has an ending (${run.id})`);
  if (ending.status === 'failed') await failRun(tx, run, ending.error, ports, revoke);
  else await endCancelled(tx, run, ending.error, ports, revoke);
}

// ── ends ──

/** Also waits that are met but not taken up: a retry that is due stays until its attempt is recorded. */
async function dropWaits(tx: Transaction, run: RunRow, keeps: (wait: WaitRow) => boolean = () => false): Promise<void> {
  if (run.openWaits === 0 && run.wakes === 0) return;
  const left = await tx.scan({ table: waits, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
  for (const wait of left) if (!keeps(wait)) tx.delete(waits, [wait.runId, wait.stepId]);
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
  await dropWaits(tx, run);
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
    // The parent may have been restarted since, and wait at that step for another child.
    if (wait !== null && wait.childRunId === run.id && isStepped(wait) && parent !== null)
      await settleWait(tx, parent, wait, forParent, ports);
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
