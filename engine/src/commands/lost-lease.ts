import type { Transaction } from '../group-commit/index.ts';
import { attempts, type RunRow } from '../store/tables.ts';

/** Under this lease every step not recorded by now may have been started, and nobody knows. */
export function recordLostLease(tx: Transaction, run: RunRow): void {
  tx.insert(attempts, {
    runId: run.id,
    stepId: '',
    number: run.fence,
    name: '',
    fence: run.fence,
    sessionId: run.leaseSession,
    outcome: 'unknown',
    error: null,
    startedAt: run.leasedAt,
    endedAt: tx.now,
  });
}
