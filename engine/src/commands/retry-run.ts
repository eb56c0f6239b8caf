import { encodeJson } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { decideFailure } from '../kernel/failure-policy.ts';
import { jobIdOf, parkRun } from '../kernel/run.ts';
import { attempts, type RunRow, runs, waits } from '../store/tables.ts';
import { failRun } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
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
  const definition = await ports.functions.version(tx, run.env, run.functionId, run.functionVersion);
  const decision = definition === undefined ? undefined : decideFailure(definition.retry, error, run.attempt, tx.now);
  if (decision?.kind !== 'retry') return failRun(tx, run, error, ports, revoke);

  tx.insert(attempts, {
    runId: run.id,
    stepId: '',
    number: run.fence,
    name: '',
    fence: run.fence,
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
    attempt: decision.attempt,
    failable: true,
    wake: run.wakes,
    sequence: 0,
    createdAt: tx.now,
  });
  tx.update(runs, {
    ...parkRun({ ...run, openWaits: run.openWaits + 1 }, tx.now),
    attempt: decision.attempt,
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
  await retryOrFailRun(tx, run, error, ports, true);
}
