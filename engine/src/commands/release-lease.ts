// The end of a lease: its run is queued again, for whoever has room next.

import type { Transaction } from '../group-commit/index.ts';
import { jobIdOf, queueRun } from '../kernel/run.ts';
import { runs } from '../store/tables.ts';
import { beginDecisions } from './decide-step.ts';
import type { CommandPorts } from './ports.ts';
import { recordLostLease } from './run-attempts.ts';
import { isOutdated, isSessionAlive, type Word } from './sessions.ts';

export type LeaseEnd =
  /** The holder is silent: nobody knows how far it came. Refused while its session is alive. */
  | { readonly reason: 'expired' }
  /** The holder never took it up, or gave it back untouched. */
  | { readonly reason: 'returned' }
  /** The holder said that it holds something else. Refused when it has been heard of since. */
  | { readonly reason: 'lost'; readonly word: Word }
  /** The holder took it up, holds it no more, and said nothing. */
  | { readonly reason: 'vanished' };

/** Ends one lease and queues its run again. Nothing happens when the lease is no longer that. */
export async function releaseLease(
  tx: Transaction,
  {
    runId,
    sessionId,
    fence,
    end,
  }: { readonly runId: string; readonly sessionId: string; readonly fence: number; readonly end: LeaseEnd },
  ports: CommandPorts,
): Promise<void> {
  const run = await tx.get(runs, [runId]);
  if (run === null || run.status !== 'running' || run.leaseSession !== sessionId || run.fence !== fence) return;
  if (end.reason === 'expired' && (await isSessionAlive(tx, sessionId))) return;
  if (end.reason === 'lost' && (await isOutdated(tx, sessionId, end.word))) return;
  if (end.reason !== 'returned') recordLostLease(tx, run);
  const idleLeases = end.reason === 'vanished' ? run.idleLeases + 1 : run.idleLeases;
  const left = end.reason === 'returned' ? run : await beginDecisions(tx, run);
  const queued = queueRun({ ...left, idleLeases }, tx.now);
  tx.update(runs, queued);
  tx.afterCommit(() => {
    ports.outside.jobRevoked(
      sessionId,
      jobIdOf(runId, fence),
      'STALE_EXECUTION',
      `The lease of this job has ended: ${end.reason}.`,
    );
    if (queued.status === 'queued')
      ports.outside.queued({ env: run.env, functionId: run.functionId, version: run.functionVersion });
  });
}
