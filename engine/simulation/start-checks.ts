// Starts: every start of a body, seen from outside, against the rows that must account for it.
//   A1. A step is not started again under the same lease and attempt.
//   A2. It is not started once its completion was acknowledged.
//   A3. The second attempt follows a first one that is on record as failed; and so on.
//   A5. One that must not run twice begins when its start is on record, and again only under a higher number: after a failure, or a
//       decision.
//   A4. At the end each start is covered: it ended its step; or it failed on record; or its lease was lost on record; or its run was
//       ended over its head (cancelled, out of time).
//   A6. At the end what each step says of its starts contains their true number.

import { isEnded } from '../src/kernel/run.ts';
import type { StepView } from '../src/queries/steps.ts';
import type { Mirror } from './mirror.ts';
import type { Report } from './violation.ts';

export interface Started {
  readonly runId: string;
  readonly stepId: string;
  readonly name: string;
  readonly attempt: number;
  readonly once?: boolean;
  readonly fence: number;
  readonly worker: string;
}

export class StartChecks {
  readonly #mirror: Mirror;
  readonly #report: Report;
  readonly #starts = new Map<string, Started[]>();
  readonly #acknowledged = new Set<string>();
  /** Whether clocks agree well enough that a worker knows when its lease is over. */
  readonly #clocksAgree: boolean;
  count = 0;

  constructor(mirror: Mirror, report: Report, clocksAgree: boolean) {
    this.#mirror = mirror;
    this.#report = report;
    this.#clocksAgree = clocksAgree;
  }

  started(start: Started): void {
    this.count++;
    const { runId, stepId, fence, attempt, worker } = start;
    const run = this.#mirror.runs.get(runId);
    const earlier = this.#starts.get(stepId) ?? [];
    this.#starts.set(stepId, [...earlier, start]);
    // Where an engine's clock is so far ahead that it ends leases which their workers still trust, a worker may start what another
    // one has finished: then only the fence stands (ADR 0011), and what it reports is refused.
    const stands = this.#clocksAgree || run?.fence === fence;
    if (stands && this.#acknowledged.has(stepId)) {
      this.#report('a completed step is never started again', `${stepId} attempt ${attempt} on ${worker}`);
    }
    if (earlier.some((one) => one.fence === fence && one.attempt === attempt)) {
      this.#report(
        'a body starts again only after its lease ended or its failure was reported',
        `${stepId} attempt ${attempt} under fence ${fence}, again on ${worker}`,
      );
    }
    if (stands && earlier.some((one) => one.fence > fence)) {
      this.#report(
        'a body starts again only after its lease ended or its failure was reported',
        `${stepId} under fence ${fence} on ${worker}, when it had started under a later one`,
      );
    }
    // A cancel that undoes takes the lease from a worker that does not know of it yet.
    const isTakenAway =
      run !== undefined && (isEnded(run) || (run.ending !== null && !start.name.startsWith('compensate:')));
    if (this.#clocksAgree && run !== undefined && !isTakenAway && (run.status !== 'running' || run.fence !== fence)) {
      this.#report(
        'a body starts under a lease that stands',
        `${stepId} under fence ${fence} on ${worker}; the run is ${run.status} under ${run.fence}`,
      );
    }
    if (start.once === true) this.#checkOnce(start, earlier);
    if (attempt > 1 && start.once !== true && !this.#failed(runId, stepId, attempt - 1)) {
      this.#report('an attempt follows a failure on record', `${stepId} attempt ${attempt} on ${worker}`);
    }
  }

  /** Somebody wants the step to run again. */
  dropped(stepId: string): void {
    this.#acknowledged.delete(stepId);
  }

  /** Its start is on record before it begins; and no earlier one is open, unless somebody decided that it shall run again. */
  #checkOnce({ runId, stepId, attempt, fence, worker }: Started, earlier: readonly Started[]): void {
    const what = `${stepId} attempt ${attempt} under fence ${fence} on ${worker}`;
    const isOnRecord = this.#mirror.attemptsOf(runId).some((row) => row.stepId === stepId && row.number === attempt);
    if (this.#mirror.runs.has(runId) && !isOnRecord)
      this.#report('a body that must not run twice starts on record', what);
    // A later attempt follows a failure, or a decision: both raise its number.
    if (earlier.some((one) => one.attempt >= attempt)) this.#report('a body that must not run twice does not', what);
  }

  acknowledged(runId: string, stepId: string): void {
    this.#acknowledged.add(stepId);
    if (this.#mirror.step(runId, stepId) === undefined) this.#report('an acknowledged step is stored', stepId);
  }

  /** At the end. Runs that were purged have no rows left to look at. */
  checkCovered(): void {
    for (const [stepId, starts] of this.#starts) {
      for (const start of starts) {
        if (this.#mirror.runs.has(start.runId) && !this.#isCovered(start)) {
          this.#report(
            'each start of a body is an attempt on record',
            `${stepId} attempt ${start.attempt} under fence ${start.fence}`,
          );
        }
      }
    }
  }

  /** @param steps - The run's, as anybody may see them. */
  checkBounds(runId: string, steps: readonly StepView[]): void {
    if (this.#mirror.runs.get(runId)?.status === 'cancelled') return; // it took what its bodies came to with it
    for (const { id, starts } of steps) {
      const count = this.#starts.get(id)?.length ?? 0;
      if (starts === undefined || (starts.atLeast <= count && count <= starts.atMost)) continue;
      this.#report(
        'a step’s bounds contain its starts',
        `${id} started ${count} times, not ${starts.atLeast} to ${starts.atMost}`,
      );
    }
  }

  #isCovered({ runId, stepId, attempt, fence }: Started): boolean {
    const step = this.#mirror.step(runId, stepId);
    if (step?.attempt === attempt && step.fence === fence) return true;
    const rows = this.#mirror.attemptsOf(runId);
    if (
      rows.some(
        (row) => row.fence === fence && (row.stepId === '' || (row.stepId === stepId && row.number === attempt)),
      )
    ) {
      return true;
    }
    const run = this.#mirror.runs.get(runId);
    if (run === undefined || run.fence !== fence) return false;
    return run.status === 'cancelled' || (run.status === 'failed' && (run.error ?? '').includes('"FUNCTION_TIMEOUT"'));
  }

  #failed(runId: string, stepId: string, attempt: number): boolean {
    return this.#mirror
      .attemptsOf(runId)
      .some((row) => row.stepId === stepId && row.number === attempt && row.outcome !== 'unknown');
  }
}
