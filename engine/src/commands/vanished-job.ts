// A job that its worker took and does not hold any more, without a word of how it ended: a published streaming worker says nothing of
// a function that waits.

import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { jobIdOf } from '../kernel/run.ts';
import { runs } from '../store/tables.ts';
import { failRun } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
import { releaseLease } from './release-lease.ts';

/** So many leases of a run in a row may end like this; then its function does the same each time. */
const VANISHED_MAX = 5;

/** Queues the run again, or fails it when that has not helped. Nothing happens when the lease is no longer that. */
export async function jobVanished(
  tx: Transaction,
  { runId, sessionId, fence }: { readonly runId: string; readonly sessionId: string; readonly fence: number },
  ports: CommandPorts,
): Promise<void> {
  const run = await tx.get(runs, [runId]);
  if (run === null || run.status !== 'running' || run.leaseSession !== sessionId || run.fence !== fence) return;
  if (run.idleLeases < VANISHED_MAX) {
    await releaseLease(tx, { runId, sessionId, fence, end: { reason: 'vanished' } }, ports);
    return;
  }
  tx.afterCommit(() => ports.outside.jobEnded(sessionId, jobIdOf(runId, fence)));
  await failRun(tx, run, saidNothing, ports, false);
}

const saidNothing: Failure = {
  name: 'WorkerError',
  code: 'WORKER_LOST_JOB',
  retryable: false,
  message:
    `The worker took this run ${VANISHED_MAX + 1} times in a row and never said how it ended. A streaming worker of an older SDK cannot ` +
    'tell the engine that a function sleeps, waits or invokes: run it with createWorker, or with a streaming worker of this release.',
};
