// The rows of what a report says of steps.

import { encodeJson, type JsonText } from '@ironflow/core';
import type { Failure, StepRecord } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { attempts, type RunRow, steps } from '../store/tables.ts';

/** A step that has ended. */
export function insertStep(
  tx: Transaction,
  run: RunRow,
  sessionId: string,
  record: StepRecord,
  outcome:
    | { readonly status: 'completed'; readonly output: JsonText }
    | { readonly status: 'failed'; readonly error: Failure },
): void {
  tx.insert(steps, {
    runId: run.id,
    stepId: record.stepId,
    name: record.name,
    kind: record.kind,
    status: outcome.status,
    output: outcome.status === 'completed' ? outcome.output : null,
    error: outcome.status === 'completed' ? null : failureText(outcome.error),
    attempt: record.attempt,
    wake: record.wake,
    sequence: record.sequence,
    resolution: null,
    fence: run.fence,
    startedAt: record.startedAt,
    endedAt: record.endedAt,
    childRunId: null,
    position: null,
    patchedAt: null,
    sessionId,
  });
}

/** An attempt that failed, and is not the last one. */
export function insertAttempt(
  tx: Transaction,
  run: RunRow,
  sessionId: string,
  record: StepRecord,
  failure: Failure,
): void {
  tx.insert(attempts, {
    runId: run.id,
    stepId: record.stepId,
    number: record.attempt,
    name: record.name,
    fence: run.fence,
    sessionId,
    outcome: 'failed',
    error: failureText(failure),
    startedAt: record.startedAt,
    endedAt: record.endedAt,
  });
}

const failureText = (failure: Failure): JsonText => encodeJson(failure, 'error of a step');
