// A run with all that hangs on it, as the doctor looks at it; how its rows are called, and the repairs that several checks have.

import type { Transaction } from '../group-commit/index.ts';
import { queueRun } from '../kernel/run.ts';
import { type RunRow, runs, type SessionRow, type StepRow, steps, type WaitRow, waits } from '../store/tables.ts';
import { type Finding, rowName } from './finding.ts';

/** A run with all that hangs on it. */
export interface RunPicture {
  readonly run: RunRow;
  readonly waits: readonly WaitRow[];
  readonly steps: readonly StepRow[];
  /** The session that holds its lease. */
  readonly session: SessionRow | null;
  /** Runs that its waits are for, by id. */
  readonly children: ReadonlyMap<string, RunRow | null>;
  /** Its waits for events of which no event would know to look. */
  readonly unlistedWaits: readonly WaitRow[];
}

/** How late the engine may be before something is wrong, in milliseconds. */
export const LATE_MS = 60_000;

export const nameOf = (run: RunRow) => rowName(runs, [run.id]);
export const waitName = ({ runId, stepId }: WaitRow) => rowName(waits, [runId, stepId]);
export const stepName = ({ runId, stepId }: StepRow) => rowName(steps, [runId, stepId]);

/** Reads the run again, for a repair: null when there is nothing to repair any more. */
export async function reread(tx: Transaction, before: RunRow): Promise<RunRow | null> {
  const run = await tx.get(runs, [before.id]);
  return run !== null && run.fence === before.fence && run.status === before.status ? run : null;
}

export function patch(before: RunRow, change: (run: RunRow) => Partial<RunRow>): NonNullable<Finding['apply']> {
  return async (tx) => {
    const run = await reread(tx, before);
    if (run !== null) tx.update(runs, { ...run, ...change(run), updatedAt: tx.now });
  };
}

/** A run that replays comes to where it was: queueing one that nothing would wake is always safe. */
export function requeue(before: RunRow): NonNullable<Finding['apply']> {
  return async (tx, ports) => {
    const run = await reread(tx, before);
    if (run === null) return;
    const left = await tx.scan({ table: waits, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
    const openWaits = left.filter(({ resolution }) => resolution === null).length;
    tx.update(runs, queueRun({ ...run, openWaits, retryAt: null }, tx.now));
    const { env, functionId, functionVersion: version } = run;
    tx.afterCommit(() => ports.outside.queued({ env, functionId, version }));
  };
}

export const seconds = (ms: number) => `${Math.round(ms / 1_000)} s`;
