import { jsonNull } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import { runs, type WaitRow, waits } from '../store/tables.ts';
import { settleWait } from './end-run.ts';
import { anyText, eventText, firstFittingEvent, firstOfAny, isEventQuestion } from './event-waits.ts';
import type { CommandPorts } from './ports.ts';
import { alternativesOf, isStepped, type WaitOutcome, wake } from './waits.ts';

/** Meets a wait whose time has come: a sleep or a retry is over, an event or a child is late. */
export async function fireTimer(
  tx: Transaction,
  { runId, stepId }: { readonly runId: string; readonly stepId: string },
  ports: CommandPorts,
): Promise<void> {
  const wait = await tx.get(waits, [runId, stepId]);
  if (wait === null || wait.dueAt === null || wait.dueAt > tx.now) return;
  const run = await tx.get(runs, [runId]);
  if (run === null || isEnded(run)) {
    tx.delete(waits, [runId, stepId]);
    return;
  }
  if (isStepped(wait)) return settleWait(tx, run, wait, await outcomeAtDueTime(tx, wait), ports);
  switch (wait.kind) {
    case 'retry': {
      const wakeNumber = run.wakes + 1;
      tx.update(waits, { ...wait, dueAt: null, resolution: wakeNumber });
      await wake(tx, { ...run, wakes: wakeNumber, openWaits: run.openWaits - 1 }, ports);
      if (run.status === 'running') {
        tx.afterCommit(() =>
          ports.outside.resolved(run, { kind: 'retry', wake: wakeNumber, stepId, attempt: wait.attempt }),
        );
      }
      return;
    }
    case 'run-retry':
      tx.delete(waits, [runId, stepId]);
      return wake(tx, { ...run, openWaits: run.openWaits - 1, retryAt: null }, ports);
  }
}

async function outcomeAtDueTime(tx: Transaction, wait: WaitRow): Promise<WaitOutcome> {
  if (wait.kind === 'sleep') return { status: 'completed', output: jsonNull };
  if (wait.kind === 'event' && wait.eventName !== null) {
    // An event may have come in time whose engine died before it looked for waits, and nobody has followed that up yet.
    const found = await firstFittingEvent(tx, { ...wait, eventName: wait.eventName }, wait.fromPosition);
    if ('event' in found) return { status: 'completed', output: eventText(found.event) };
  }
  if (wait.kind === 'any') {
    const found = await firstOfAny(tx, (await alternativesOf(tx, wait)).filter(isEventQuestion));
    if ('event' in found) return { status: 'completed', output: anyText(found.key, found.event) };
  }
  return { status: 'timed_out', error: timeoutFailure(wait) };
}

function timeoutFailure(wait: WaitRow): Failure {
  if (wait.kind === 'child') {
    return {
      name: 'InvokeTimeoutError',
      code: 'INVOKE_TIMEOUT',
      retryable: false,
      message: `Function "${wait.functionId}" did not finish within the timeout of step "${wait.name}". Its run ${wait.childRunId} goes on; give the call a longer timeout to wait for it.`,
      details: { functionId: wait.functionId, childRunId: wait.childRunId },
    };
  }
  if (wait.kind === 'any') {
    return {
      name: 'WaitTimeoutError',
      code: 'WAIT_TIMEOUT',
      retryable: false,
      message: `None of the events that step "${wait.name}" waits for came within its timeout. Catch the error to go on without them, or wait longer.`,
    };
  }
  return {
    name: 'WaitTimeoutError',
    code: 'WAIT_TIMEOUT',
    retryable: false,
    message: `No event "${wait.eventName}" met step "${wait.name}" within its timeout. Catch the error to go on without it, or wait longer.`,
    details: { event: wait.eventName },
  };
}
