// Runs, from one state to the next: which changes there may be, what must wake them, and how callers were told that they ended.

import { isDeepStrictEqual } from 'node:util';
import { isEnded } from '../src/kernel/run.ts';
import type { RunRow } from '../src/store/tables.ts';
import { type Mirror, versionKey } from './mirror.ts';
import type { Operations } from './operations.ts';
import type { Report } from './violation.ts';

export class RunChecks {
  readonly #mirror: Mirror;
  readonly #report: Report;
  /** How a run had ended when a caller was told. */
  readonly #toldEnds = new Map<string, string>();
  #hadRuns = false;

  constructor(mirror: Mirror, report: Report) {
    this.#mirror = mirror;
    this.#report = report;
  }

  /** Whether there ever was a run. */
  get hadRuns(): boolean {
    return this.#hadRuns;
  }

  changed(before: RunRow | undefined, row: RunRow, operations: Operations): void {
    this.#hadRuns = true;
    if (before === undefined || isEnded(before) !== isEnded(row)) this.#mirror.openRuns += isEnded(row) ? -1 : 1;
    if (operations.restarts(row.id)) this.#toldEnds.delete(row.id);
    if (before !== undefined && isEnded(before) && !mayChange(before, row, operations)) {
      this.#report('a run that has ended never changes', `${row.id} from ${before.status} to ${row.status}`);
    }
    if (!this.#mirror.versions.has(versionKey(row.functionId, row.functionVersion))) {
      this.#report('a run’s version is registered', `${row.functionId} ${row.functionVersion}`);
    }
    if (before !== undefined && before.functionVersion !== row.functionVersion) {
      this.#report('a run keeps its version', row.id);
    }
    if (before !== undefined && row.fence < before.fence) this.#report('a fence only grows', row.id);
    if (row.status !== 'running') return;
    const isNewLease = before?.fence !== row.fence;
    if (isNewLease && row.pause !== null) this.#report('a paused run is given to nobody', row.id);
    if (!isNewLease && before?.leaseSession !== row.leaseSession) {
      this.#report('a run has one lease at a time', row.id);
    }
    const session = this.#mirror.sessions.get(row.leaseSession ?? '');
    if (isNewLease && (session === undefined || session.expired)) {
      this.#report('a lease is given only to a session that is alive', `${row.id} to ${row.leaseSession}`);
    }
  }

  checkWakeUpSource(runId: string): void {
    const run = this.#mirror.runs.get(runId);
    const all = [...this.#mirror.waitsOf(runId).values()];
    if (run === undefined || isEnded(run)) {
      if (all.length > 0) this.#report('no wait outlives its run', `${all[0]?.stepId}`);
      return;
    }
    const open = all.filter(({ resolution }) => resolution === null);
    const awake =
      (run.status === 'queued' && run.readyAt !== null) ||
      (run.status === 'paused' && run.pause !== null && run.readyAt === null) ||
      (run.status === 'running' && run.leaseSession !== null && run.deadlineAt !== null) ||
      (run.status === 'waiting' &&
        open.some(({ dueAt, kind }) => dueAt !== null || ['event', 'child', 'decision'].includes(kind)));
    if (!awake) this.#report('every run has a wake-up source', `${runId} is ${run.status}`);
    if (open.length !== run.openWaits) {
      this.#report('a run counts its open waits', `${runId} has ${open.length}, counts ${run.openWaits}`);
    }
  }

  /** A caller was told how a run has ended. */
  endTold(runId: string, status: string): void {
    const run = this.#mirror.runs.get(runId);
    if (run !== undefined && run.restart !== null) return; // the answer may be from before
    const before = this.#toldEnds.get(runId) ?? run?.status;
    if (before !== status) this.#report('a run reaches one terminal state', `${runId} is ${before}, and ${status}`);
    this.#toldEnds.set(runId, status);
  }

  /** At the end: what callers were told is what is stored. */
  checkToldEnds(): void {
    for (const [runId, status] of this.#toldEnds) {
      const stored = this.#mirror.runs.get(runId);
      if (stored !== undefined && stored.status !== status) {
        this.#report('a run reaches one terminal state', `${runId} is ${stored.status}, and ${status}`);
      }
    }
  }
}

/** How a run that has ended may change: a failed one is restarted; time of change alone, by a patch or a purge. */
function mayChange(before: RunRow, row: RunRow, operations: Operations): boolean {
  if (operations.restarts(row.id)) return before.status === 'failed' && row.restart !== before.restart;
  return isDeepStrictEqual({ ...before, updatedAt: 0 }, { ...row, updatedAt: 0 });
}
