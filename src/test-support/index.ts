// For tests of the SDK: executions whose engine is a script, on a clock that is moved by hand.

import type { Assignment, MemoEntry, Report, ReportAnswer, StepKind } from '@ironflow/core/wire';
import { VirtualClock } from '../../engine/src/ports/virtual-clock.ts';
import { Execution, type ExecutionOptions, type Outcome } from '../execution/index.ts';
import { createStepClient, type StepClient } from '../step/index.ts';

export { VirtualClock } from '../../engine/src/ports/virtual-clock.ts';

export const accepted = (parts: Partial<ReportAnswer & { status: 'accepted' }> = {}): ReportAnswer => ({
  status: 'accepted',
  ended: false,
  retries: [],
  resolutions: [],
  ...parts,
});

/** The job of a run that has just begun. */
export const newAssignment: Assignment = {
  jobId: 'run_1.1',
  runId: 'run_1',
  functionId: 'f',
  attempt: 1,
  event: { id: 'evt_1', name: 'go', version: 1, data: { value: {} }, timestamp: 0 },
  memo: [],
  attempts: [],
  waits: [],
  wakes: 0,
  sequence: 0,
  fence: 1,
  leaseToken: 'token',
};

/** A memo as the engine would have it after these steps, in their order: values, or errors for failed ones. */
export function memoOf(...steps: readonly (readonly [stepId: string, kind: StepKind | undefined, result: unknown])[]) {
  return steps.map(([stepId, kind, result], i): MemoEntry => {
    const base = { stepId: `run_1:${stepId}`, name: stepId.split(':')[0] ?? '', kind, wake: 0, sequence: i + 1 };
    return result instanceof Error
      ? {
          ...base,
          status: 'failed',
          error: { code: 'ERROR', message: result.message, name: result.name, retryable: false },
        }
      : { ...base, status: 'completed', output: { value: (result ?? null) as never } }; // tests give JSON
  });
}

export interface Script extends Partial<Omit<ExecutionOptions, 'assignment' | 'journal'>> {
  readonly assignment?: Partial<Assignment>;
  /** What the engine says to a report; default: taken, and the job has ended when the report says so. */
  readonly answer?: (
    report: Report,
    reports: readonly Report[],
  ) => ReportAnswer | undefined | Promise<ReportAnswer | undefined>;
  readonly stepTimeoutMs?: number;
  /** Called with the execution before it runs. */
  readonly onStart?: (execution: Execution) => void;
}

export interface Scripted {
  readonly execution: Execution;
  readonly reports: readonly Report[];
  readonly clock: VirtualClock;
  /** Undefined while it runs. */
  outcome(): Outcome | undefined;
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>;
  /** Names of the steps recorded so far, in their order. */
  recorded(): string[];
}

/** Runs a handler against a script, until it rests or is over. */
export async function execute(
  handler: (step: StepClient, clock: VirtualClock) => unknown,
  { assignment, answer, stepTimeoutMs, onStart, ...options }: Script = {},
): Promise<Scripted> {
  const clock = new VirtualClock();
  const reports: Report[] = [];
  const execution = new Execution({
    assignment: { ...newAssignment, ...assignment },
    turns: clock,
    journal: {
      async report(report) {
        reports.push(report);
        return (await answer?.(report, reports)) ?? accepted({ ended: report.end !== undefined });
      },
    },
    ...options,
  });
  const step = createStepClient(execution, { stepTimeoutMs });
  onStart?.(execution);
  let outcome: Outcome | undefined;
  void execution
    .run(() => handler(step, clock))
    .then((over) => {
      outcome = over;
    });
  await clock.settle();
  return {
    execution,
    reports,
    clock,
    outcome: () => outcome,
    settle: () => clock.settle(),
    recorded: () => reports.flatMap(({ records }) => records.map(({ name }) => name)),
  };
}

/** Lets that many turns pass, as a body that is at work does. */
export async function turns(clock: VirtualClock, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => clock.soon(resolve));
}
