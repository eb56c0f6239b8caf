import { encodeJson } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { decideFailure, type FailureDecision } from '../kernel/failure-policy.ts';
import { jobIdOf, parkRun } from '../kernel/run.ts';
import { type RunRow, runs, waits } from '../store/tables.ts';
import { beginDecisions } from './decide-step.ts';
import { failRun, failUndone, finishEnding, requeue } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
import { recordRunAttempt } from './run-attempts.ts';
import { blankWait } from './waits.ts';

/**
 * A running run's attempt failed as a whole: its handler threw, or its time was up. By the function's policy the run waits for its next
 * attempt, with all that it has recorded, or fails.
 * @param revoke - Whether the worker that holds the lease must be told.
 */
export async function retryOrFailRun(
  tx: Transaction,
  run: RunRow,
  error: Failure,
  ports: CommandPorts,
  revoke: boolean,
): Promise<void> {
  const decision = await decideRunFailure(tx, run, error, ports);
  if (decision.kind === 'final') return failRun(tx, run, error, ports, revoke);
  waitForRetry(tx, await beginDecisions(tx, run), error, decision, ports, revoke);
}

export async function decideRunFailure(
  tx: Transaction,
  run: RunRow,
  error: Failure,
  ports: CommandPorts,
): Promise<FailureDecision> {
  const definition = await ports.functions.version(tx, run.env, run.functionId, run.functionVersion);
  if (definition === undefined) return { kind: 'final' };
  // Attempts before a restart count no more; their number goes on.
  const before = run.maxAttempts - definition.retry.maxAttempts;
  const decision = decideFailure(definition.retry, error, run.attempt - before, tx.now);
  return decision.kind === 'retry' ? { ...decision, attempt: run.attempt + 1 } : decision;
}

export function waitForRetry(
  tx: Transaction,
  run: RunRow,
  error: Failure,
  decision: FailureDecision & { readonly kind: 'retry' },
  ports: CommandPorts,
  revoke: boolean,
): void {
  recordRunAttempt(tx, run, {
    sessionId: run.leaseSession,
    outcome: 'failed',
    error: encodeJson(error, `error of run ${run.id}`),
    startedAt: run.leasedAt,
    endedAt: tx.now,
  });
  tx.insert(waits, {
    ...blankWait,
    runId: run.id,
    stepId: '',
    env: run.env,
    name: '',
    kind: 'run-retry',
    dueAt: decision.dueAt,
    attempt: run.attempt + 1,
    failable: true,
    wake: run.wakes,
    sequence: 0,
    createdAt: tx.now,
  });
  tx.update(runs, {
    ...parkRun({ ...run, openWaits: run.openWaits + 1 }, tx.now),
    attempt: run.attempt + 1,
    retryAt: decision.dueAt,
  });
  tx.afterCommit(() => {
    ports.outside.waitDueAt(run.id, decision.dueAt);
    const { leaseSession } = run;
    if (leaseSession === null) return;
    const jobId = jobIdOf(run.id, run.fence);
    if (revoke) ports.outside.jobRevoked(leaseSession, jobId, error.code, error.message);
    else ports.outside.jobEnded(leaseSession, jobId);
  });
}

/** Ends an execution that has used up its function's timeout. Nothing happens when it is no longer that one. */
export async function expireDeadline(tx: Transaction, runId: string, ports: CommandPorts): Promise<void> {
  const run = await tx.get(runs, [runId]);
  if (run === null || run.status !== 'running' || run.deadlineAt === null || run.deadlineAt > tx.now) return;
  const timeoutMs = run.deadlineAt - (run.leasedAt ?? run.deadlineAt);
  const error: Failure = {
    name: 'TimeoutError',
    code: 'FUNCTION_TIMEOUT',
    retryable: true,
    message: `Function "${run.functionId}" ran for longer than its timeout of ${timeoutMs} ms without a pause. Raise "timeout", or split the work into steps.`,
    details: { timeoutMs },
  };
  if (run.ending !== null) return timeOutUndoing(tx, run, error, ports);
  const decision = await decideRunFailure(tx, run, error, ports);
  if (decision.kind === 'retry') waitForRetry(tx, await beginDecisions(tx, run), error, decision, ports, true);
  else await failUndone(tx, run, error, ports);
}

/** Leases in a row in which compensations used up the function's timeout, before they are given up. */
const UNDOING_TIMEOUTS_MAX = 5;

async function timeOutUndoing(tx: Transaction, run: RunRow, error: Failure, ports: CommandPorts): Promise<void> {
  if (run.idleLeases >= UNDOING_TIMEOUTS_MAX) return finishEnding(tx, run, ports, true);
  tx.update(runs, await requeue(tx, { ...run, idleLeases: run.idleLeases + 1 }, error, ports));
}
