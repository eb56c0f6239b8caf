// Attempts of a run as a whole: leases that brought no end of it. Each has the number of its lease.

import type { Transaction } from '../group-commit/index.ts';
import { type AttemptRow, attempts, type RunRow } from '../store/tables.ts';

export function recordRunAttempt(
  tx: Transaction,
  { id: runId, fence }: RunRow,
  attempt: Pick<AttemptRow, 'sessionId' | 'outcome' | 'error' | 'startedAt' | 'endedAt'>,
): void {
  tx.insert(attempts, { runId, stepId: '', number: fence, name: '', fence, ...attempt });
}

/** Under this lease every step not recorded by now may have been started, and nobody knows. */
export function recordLostLease(tx: Transaction, run: RunRow): void {
  const { leaseSession: sessionId, leasedAt: startedAt } = run;
  recordRunAttempt(tx, run, { sessionId, outcome: 'unknown', error: null, startedAt, endedAt: tx.now });
}
