// Runs that other runs call.
//   D1. A call starts its child once: two calls, or none, never lead to one run, and one call never to two.
//   D2. A run that is cancelled takes those with it that it waits for.

import { isEnded } from '../src/kernel/run.ts';
import type { RunRow, StepRow, WaitRow } from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import type { Report } from './violation.ts';

export class ChildChecks {
  readonly #mirror: Mirror;
  readonly #report: Report;
  /** Children whose calls were dropped by a restart. */
  readonly #dropped = new Set<string>();

  constructor(mirror: Mirror, report: Report) {
    this.#mirror = mirror;
    this.#report = report;
  }

  /** The call of this child is gone, with a restart of its run. */
  dropped(childRunId: string): void {
    this.#dropped.add(childRunId);
  }

  /** D2, of a wait that left with its cancelled run. */
  leftByCancel({ childRunId, childStays, stepId }: WaitRow): void {
    const child = this.#mirror.runs.get(childRunId ?? '');
    if (child !== undefined && childStays !== true && !isEnded(child) && child.ending === null)
      this.#report('a run that is cancelled cancels those that it waits for', stepId);
  }

  /** D1, at the end. */
  checkCalls(runRows: readonly RunRow[], stepRows: readonly StepRow[]): void {
    const calls = new Map<string, number>();
    for (const { childRunId } of stepRows)
      if (childRunId !== null) calls.set(childRunId, (calls.get(childRunId) ?? 0) + 1);
    const parents = new Set<string>();
    for (const { id, parentRunId, parentStepId, input, rerunOf } of runRows) {
      if (rerunOf !== null || this.#dropped.has(id)) continue;
      if (parentRunId !== null) {
        if (this.#mirror.runs.get(parentRunId)?.restart != null) continue; // it may have called again
        if (parents.has(`${parentStepId}`)) this.#report('a call starts its child once', `${parentStepId}`);
        parents.add(`${parentStepId}`);
      } else if (input !== null && calls.get(id) !== 1) this.#report('a call starts its child once', id);
      if ((calls.get(id) ?? 0) > 1) this.#report('a call starts its child once', id);
    }
  }
}
