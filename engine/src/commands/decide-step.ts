// Steps that must not run twice (`effect: 'once'`), when nobody knows how their body ended.
//
//   start on record ──its end is recorded──► the attempt is as any other
//      └──the lease is lost──► a wait for a decision ──an output or an error──► the step is recorded
//                                                    └──again──► its next attempt may start
//
//   D1. A body of such a step starts only when no earlier start of it is open.

import { IronflowError, type JsonText, type Redactor } from '@ironflow/core';
import { type Failure, redactedFailure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import { attempts, type RunRow, runs, waits } from '../store/tables.ts';
import { type Operation, recordOperation, summaryOf } from './audit.ts';
import type { CommandPorts } from './ports.ts';
import { operatorRedactor, redactedOperation } from './secrets.ts';
import { blankWait, isStepped, meetWait, wake } from './waits.ts';

/** How a step is taken to have ended, or that it shall run again. */
export type StepDecision =
  | { readonly kind: 'output'; readonly output: JsonText }
  | { readonly kind: 'error'; readonly error: Failure }
  | { readonly kind: 'again' };

/** A lease is lost: each start under it whose end is not on record waits for a decision. @returns the run, with these waits. */
export async function beginDecisions(tx: Transaction, run: RunRow): Promise<RunRow> {
  if (run.ending !== null) return run; // nothing of it runs again
  const rows = await tx.scan({ table: attempts, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
  const open = rows.filter(
    ({ stepId, outcome, fence }) => stepId !== '' && outcome === 'unknown' && fence === run.fence,
  );
  let openWaits = run.openWaits + open.length;
  for (const { stepId, name, number } of open) {
    const retry = await tx.get(waits, [run.id, stepId]); // what let this attempt start stays until its end is recorded
    if (retry !== null) tx.delete(waits, [run.id, stepId]);
    if (retry?.resolution === null) openWaits -= 1;
    tx.insert(waits, {
      ...blankWait,
      runId: run.id,
      stepId,
      env: run.env,
      name,
      kind: 'decision',
      attempt: number,
      failable: true,
      wake: run.wakes,
      sequence: 0,
      createdAt: tx.now,
    });
  }
  return open.length === 0 ? run : { ...run, openWaits };
}

export interface DecideStepInput extends Operation {
  readonly runId: string;
  readonly stepId: string;
  readonly decision: StepDecision;
}

/**
 * Decides how a step ended of which nobody knows.
 * @throws {IronflowError} CONFLICT when nothing is to be decided there.
 */
export async function decideStep(tx: Transaction, input: DecideStepInput, ports: CommandPorts): Promise<void> {
  const { runId, stepId } = input;
  const wait = await tx.get(waits, [runId, stepId]);
  const run = await tx.get(runs, [runId]);
  if (run === null || isEnded(run) || wait === null || wait.kind !== 'decision' || !isStepped(wait)) {
    throw new IronflowError(
      `Nothing is to be decided about step "${stepId}": it has ended, it runs, or it may run again by itself. Look at the run's steps; those that wait for a decision have the status "undecided".`,
      { code: 'CONFLICT', retryable: false, details: { runId, stepId } },
    );
  }
  const redactor = await operatorRedactor(tx, run, ports);
  const decision = redactedDecision(input.decision, redactor);
  const { actor, reason } = await redactedOperation(tx, run, input, ports);
  const said =
    decision.kind === 'output'
      ? { output: JSON.parse(decision.output) as unknown }
      : decision.kind === 'error'
        ? { error: summaryOf(decision.error) }
        : {};
  const payload = { decision: decision.kind, attempt: wait.attempt, ...said };
  recordOperation(tx, run, { type: 'step.decided', stepId, actor, reason, payload });
  if (decision.kind === 'output') {
    await meetWait(tx, run, wait, { status: 'completed', output: decision.output }, ports);
    return;
  }
  if (decision.kind === 'error') {
    await meetWait(tx, run, wait, { status: 'failed', error: decision.error }, ports);
    return;
  }
  const wakes = run.wakes + 1;
  const attempt = wait.attempt + 1;
  tx.delete(waits, [runId, stepId]);
  tx.insert(waits, { ...wait, kind: 'retry', attempt, resolution: wakes, createdAt: tx.now });
  await wake(tx, { ...run, wakes, openWaits: run.openWaits - 1 }, ports);
  if (run.status === 'running')
    tx.afterCommit(() => ports.outside.resolved(run, { kind: 'retry', wake: wakes, stepId, attempt }));
}

function redactedDecision(decision: StepDecision, redactor: Pick<Redactor, 'text' | 'json'>): StepDecision {
  if (decision.kind === 'output') return { ...decision, output: redactor.json(decision.output) };
  return decision.kind === 'error' ? { ...decision, error: redactedFailure(decision.error, redactor) } : decision;
}
