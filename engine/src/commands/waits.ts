// What a run waits for, and what happens when it is met.
//   W1. A wait is met once: its row leaves, or (a retry) says which wake it was, in the commit that says what it met.
//   W2. Each met wait is one more of the run's wakes, so a worker that knows fewer has something to be told.
//   W3. A met wait makes a waiting run ready in the same commit.

import { encodeJson, type JsonText } from '@ironflow/core';
import { type Failure, type MemoEntry, type OpenWait, type StepKind, stepKindOfWait } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import type { Stamp } from '../store/port.ts';
import { type RunRow, runs, type StepRow, steps, type WaitRow, waits } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { makeReady } from './start-runs.ts';

export type WaitOutcome =
  | { readonly status: 'completed'; readonly output: JsonText }
  | { readonly status: 'failed' | 'timed_out'; readonly error: Failure };

/** A wait that ends with an outcome of its own; retries only let an attempt start. */
export type SteppedWait = WaitRow & { readonly kind: Exclude<OpenWait['kind'], 'retry'> };

export function isStepped(wait: WaitRow): wait is SteppedWait {
  return wait.kind !== 'retry' && wait.kind in stepKindOfWait;
}

/** Ends a wait with an outcome that the function can be told: the step is recorded, the wait leaves, the run may go on. */
export async function meetWait(
  tx: Transaction,
  run: RunRow,
  wait: SteppedWait,
  outcome: WaitOutcome,
  ports: CommandPorts,
): Promise<void> {
  tx.delete(waits, [wait.runId, wait.stepId]);
  const closed = wait.kind === 'any' ? await alternativesOf(tx, wait) : [];
  for (const { runId, stepId } of closed) tx.delete(waits, [runId, stepId]);
  const entry = recordMetWait(tx, { ...wait, kind: stepKindOfWait[wait.kind] }, run.wakes + 1, outcome);
  await wake(tx, { ...run, wakes: run.wakes + 1, openWaits: run.openWaits - 1 - closed.length }, ports);
  if (run.status === 'running') {
    tx.afterCommit(() => ports.outside.resolved(run, { kind: 'settled', wake: run.wakes + 1, entry }));
  }
}

// The ids of a step's alternatives are its own with `:?` and their number: those of steps end with a colon and a number alone.

export function alternativeId(stepId: string, index: number): string {
  return `${stepId}:?${String(index).padStart(2, '0')}`;
}

/** In the order in which the function gave them. */
export function alternativesOf(tx: Pick<Transaction, 'scan'>, { runId, stepId }: WaitRow): Promise<WaitRow[]> {
  const range = { after: [`${stepId}:?`], before: [`${stepId}:@`] };
  return tx.scan({ table: waits, prefix: [runId], ...range, limit: Number.MAX_SAFE_INTEGER });
}

/** Writes the step row of a wait that is over. */
export function recordMetWait(
  tx: Transaction,
  wait: {
    readonly runId: string;
    readonly stepId: string;
    readonly name: string;
    readonly kind: StepKind;
    readonly createdAt: number;
    readonly childRunId: string | null;
    readonly attempt?: number;
  },
  wakeNumber: number,
  outcome: WaitOutcome,
  stamp?: Stamp,
): MemoEntry {
  const output = outcome.status === 'completed' ? outcome.output : null;
  const error = outcome.status === 'completed' ? undefined : outcome.error;
  const row: StepRow = {
    runId: wait.runId,
    stepId: wait.stepId,
    name: wait.name,
    kind: wait.kind,
    status: outcome.status,
    output,
    error: error === undefined ? null : encodeJson(error, 'error of a wait'),
    attempt: wait.attempt ?? 1,
    wake: wakeNumber,
    sequence: 0,
    resolution: wakeNumber,
    fence: 0,
    startedAt: wait.createdAt,
    endedAt: tx.now,
    childRunId: wait.childRunId,
    position: null,
    patchedAt: null,
    sessionId: null,
  };
  tx.insert(steps, row, stamp);
  return {
    stepId: wait.stepId,
    name: wait.name,
    kind: wait.kind,
    status: outcome.status,
    ...(output !== null && { output: { text: output } }),
    ...(error !== undefined && { error }),
    wake: wakeNumber,
    sequence: 0,
  };
}

/** The run has one more thing to be told; a waiting one is made ready for it. */
export async function wake(tx: Transaction, run: RunRow, ports: CommandPorts): Promise<void> {
  if (run.status === 'waiting' && run.retryAt === null) tx.update(runs, await makeReady(tx, run, ports));
  else tx.update(runs, { ...run, unseenWakes: run.unseenWakes + 1, updatedAt: tx.now });
}

/** A wait's row with nothing in it yet. */
export const blankWait = {
  dueAt: null,
  eventName: null,
  matchPath: '',
  matchValue: '',
  matchKey: null,
  matchExpression: null,
  anyOf: null,
  childStays: null,
  fromPosition: 0,
  childRunId: null,
  functionId: null,
  attempt: 1,
  resolution: null,
} as const;
