// Compensations, from what is committed.
//   S1. A compensation is recorded only of a run that is to be undone, and once.
//   S2. They are recorded in the reverse of the order in which their steps reached the function.
//   S3. At the end: a run that failed, or was cancelled with all undone, has one for each step that it had done and that can be undone; a
//       run that completed has none.

import type { RunRow, StepRow } from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import { type Program, undoableSteps } from './program.ts';
import type { Report } from './violation.ts';

const PREFIX = 'compensate:';

export class SagaChecks {
  readonly #mirror: Mirror;
  readonly #report: Report;
  /** Where in the order of results the step stands that was undone last, by run. */
  readonly #last = new Map<string, readonly [wake: number, sequence: number]>();

  constructor(mirror: Mirror, report: Report) {
    this.#mirror = mirror;
    this.#report = report;
  }

  /** What was undone is done again, and may have to be undone again. */
  restarted(runId: string): void {
    this.#last.delete(runId);
  }

  stored(row: StepRow): void {
    if (row.kind !== 'compensate') return;
    const { runId, name, stepId } = row;
    if (this.#mirror.runs.get(runId)?.ending == null)
      this.#report('compensations run only after a terminal failure or an asked-for cancel', stepId);
    const undone = this.#doneSteps(runId).find((step) => step.name === name.slice(PREFIX.length));
    if (undone === undefined) {
      this.#report('only what is done is undone', stepId);
      return;
    }
    const last = this.#last.get(runId);
    if (last !== undefined && !isBefore(undone, last))
      this.#report('compensations run in reverse order', `${stepId} after that of a step before it`);
    this.#last.set(runId, [undone.wake, undone.sequence]);
  }

  /** @param undone - Whether a cancelled run had everything undone. */
  ended(run: RunRow, program: Program, undone: boolean): void {
    const compensated = new Set(
      this.#stepsOf(run.id).flatMap(({ kind, name }) => (kind === 'compensate' ? [name.slice(PREFIX.length)] : [])),
    );
    if (run.status === 'completed' && compensated.size > 0)
      this.#report('compensations run only after a terminal failure or an asked-for cancel', run.id);
    if (run.status === 'completed' || (run.status === 'cancelled' && !undone)) return;
    const undoable = undoableSteps(program);
    for (const { name, stepId } of this.#doneSteps(run.id)) {
      if (undoable.has(name) && !compensated.has(name)) this.#report('what can be undone is undone', stepId);
    }
  }

  #doneSteps(runId: string): StepRow[] {
    return this.#stepsOf(runId).filter(({ kind, status }) => kind === 'run' && status === 'completed');
  }

  #stepsOf(runId: string): StepRow[] {
    return [...this.#mirror.steps.values()].filter((step) => step.runId === runId);
  }
}

function isBefore({ wake, sequence }: StepRow, [lastWake, lastSequence]: readonly [number, number]): boolean {
  return wake < lastWake || (wake === lastWake && sequence < lastSequence);
}
