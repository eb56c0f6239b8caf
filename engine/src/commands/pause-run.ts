import { RunNotFoundError, RunStateError } from '@ironflow/core';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded, type Pause, pauseRun, unpauseRun } from '../kernel/run.ts';
import { type RunRow, runs } from '../store/tables.ts';
import { type Operation, recordOperation } from './audit.ts';
import type { CommandPorts } from './ports.ts';
import { redactedOperation } from './secrets.ts';
import { makeReady } from './start-runs.ts';

/**
 * Pauses a run that has not ended. While a worker executes it, the worker finishes what it is at, and is told with its next
 * report to begin nothing more. One that is paused already stays as it is, with the first reason.
 * @throws {RunStateError} when it has ended.
 */
export async function requestPause(
  tx: Transaction,
  { runId, ...asked }: { readonly runId: string } & Operation,
  ports: CommandPorts,
): Promise<RunRow> {
  const run = await existing(tx, runId, ports);
  if (isEnded(run)) {
    throw new RunStateError(`Run ${runId} has ended: it is ${run.status}. Only a run under way can be paused.`, {
      runId,
      details: { runId, status: run.status },
    });
  }
  if (run.pause !== null) return run;
  const { actor, reason } = await redactedOperation(tx, run, asked, ports);
  const pause: Pause = { at: tx.now, by: actor, reason };
  const paused = pauseRun(run, pause, tx.now);
  tx.update(runs, paused);
  recordOperation(tx, run, { type: 'run.paused', actor, reason, payload: { status: run.status } });
  return paused;
}

/** Ends the pause of a run, or takes back that it is to be paused. */
export async function endPause(tx: Transaction, run: RunRow, asked: Operation, ports: CommandPorts): Promise<RunRow> {
  const { actor, reason } = await redactedOperation(tx, run, asked, ports);
  recordOperation(tx, run, { type: 'run.resumed', actor, reason, payload: { status: run.status } });
  const resumed = unpauseRun(run, tx.now);
  const next = resumed.status === 'queued' ? await makeReady(tx, resumed, ports) : resumed;
  tx.update(runs, next);
  return next;
}

/** @throws {RunNotFoundError} also for a run that is past its retention: some of its rows may have left already. */
export async function existing(tx: Transaction, runId: string, { settings }: CommandPorts): Promise<RunRow> {
  const run = await tx.get(runs, [runId]);
  const { runRetentionMs = Number.POSITIVE_INFINITY } = settings;
  if (run === null || (run.endedAt !== null && run.endedAt + runRetentionMs <= tx.now))
    throw new RunNotFoundError(runId);
  return run;
}
