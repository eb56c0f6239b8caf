// Why a run fails over what was reported of it.

import type { Failure, Report, StepKind, StepRecord } from '@ironflow/core/wire';

/** Leases in a row that bring nothing new before the run is failed: its function asks for the same wait again and again. */
export const IDLE_LEASES_MAX = 5;

export const unknownFailure: Failure = {
  code: 'ERROR',
  message: 'The worker reported a failed step without saying why.',
  retryable: true,
};

export function contradiction(record: StepRecord, kind: StepKind): Failure {
  return {
    name: 'NonDeterministicError',
    code: 'NON_DETERMINISTIC',
    retryable: false,
    message: `Step "${record.name}" was recorded as ${kind} and is now reported as ${record.kind}. Give each step a name of its own, and keep their order the same on every execution.`,
    details: { stepId: record.stepId, recorded: kind, reported: record.kind },
  };
}

export function startedBefore(name: string, attempt: number): Failure {
  return {
    name: 'IronflowError',
    code: 'CONFLICT',
    retryable: false,
    message: `Attempt ${attempt} of step "${name}", which must not run twice, was started before, and nobody knows how it ended.`,
  };
}

export function endlessWait(report: Report): Failure {
  const steps = report.waits.map(({ stepId }) => stepId);
  return {
    name: 'NonDeterministicError',
    code: 'NON_DETERMINISTIC',
    retryable: false,
    message: `The function asked ${IDLE_LEASES_MAX + 1} times in a row to wait for what it has been told already (${steps.join(', ') || 'nothing'}).`,
    details: { steps },
  };
}
