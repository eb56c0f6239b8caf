import type { Transaction } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import { attempts, runAudit, runs, steps } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { dropAttributes } from './run-attributes.ts';

/** Rows of one run that leave in one commit, so that a long run does not hold up everybody. */
const ROWS_MAX = 1_000;

/**
 * Removes a run that has ended, with all that hangs on it; audit entries with a time of their own stay for that. False when some is left for the next call. The run's row is written each
 * time, so that nobody who restarts the run does so between two of them.
 */
export async function purgeRun(tx: Transaction, runId: string, ports: CommandPorts): Promise<boolean> {
  const run = await tx.get(runs, [runId]);
  if (run === null || !isEnded(run)) return true;
  tx.update(runs, { ...run, updatedAt: tx.now });
  const stepRows = await tx.scan({ table: steps, prefix: [runId], limit: ROWS_MAX });
  for (const { stepId } of stepRows) tx.delete(steps, [runId, stepId]);
  if (stepRows.length === ROWS_MAX) return false;
  const attemptRows = await tx.scan({ table: attempts, prefix: [runId], limit: ROWS_MAX });
  for (const { stepId, number } of attemptRows) tx.delete(attempts, [runId, stepId, number]);
  if (attemptRows.length === ROWS_MAX) return false;
  const auditRows = await tx.scan({
    table: runAudit,
    prefix: [runId],
    where: { expiresAt: null },
    limit: ROWS_MAX,
  });
  for (const { id } of auditRows) tx.delete(runAudit, [runId, id]);
  if (auditRows.length === ROWS_MAX) return false;
  await dropAttributes(tx, run, ports); // with the run's own row: they are few, and a listing goes from them to it
  tx.delete(runs, [runId]);
  return true;
}

/** Removes audit entries whose own time is over. True when some are left for the next call. */
export async function purgeEntries(tx: Transaction): Promise<boolean> {
  const entries = await tx.scan({ table: runAudit, index: 'byExpiry', to: [tx.now], limit: ROWS_MAX });
  for (const { runId, id } of entries) tx.delete(runAudit, [runId, id]);
  return entries.length === ROWS_MAX;
}
