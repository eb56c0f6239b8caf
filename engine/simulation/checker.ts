// Checker: the promises as invariants, looked at on every commit and on every start of a body.

import { isEnded } from '../src/kernel/run.ts';
import type { CommitResult, Store, WriteSet } from '../src/store/port.ts';
import { type RunRow, runs, type StepRow, steps, type WaitRow, waits } from '../src/store/tables.ts';
import type { BodyStart } from './compile.ts';

export class Violation extends Error {
  override name = 'Violation';
  readonly promise: string;
  constructor(promise: string, what: string) {
    super(`${promise}: ${what}`);
    this.promise = promise;
  }
}

export interface Started extends BodyStart {
  readonly fence: number;
  readonly worker: string;
}

export class Checker {
  readonly violations: Violation[] = [];
  readonly #runs = new Map<string, RunRow>();
  readonly #steps = new Map<string, StepRow>();
  readonly #waits = new Map<string, Map<string, WaitRow>>();
  /** Starts of each step's body, under the lease and attempt they were made in. */
  readonly #starts = new Map<string, Set<string>>();
  readonly #acknowledged = new Set<string>();
  readonly #now: () => number;
  starts = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Looks at write sets as they take effect, in their order. */
  committed(writeSets: readonly WriteSet[], results: readonly CommitResult[]): void {
    for (const [i, writeSet] of writeSets.entries()) if (results[i]?.ok === true) this.#applied(writeSet);
  }

  claimed(rows: readonly RunRow[]): void {
    for (const row of rows) this.#runChanged(row);
    for (const row of rows) this.#checkWakeUpSource(row.id);
  }

  bodyStarted(start: Started): void {
    this.starts++;
    const name = stepKey(start.runId, start.stepId);
    if (this.#acknowledged.has(name)) {
      this.#violated('a completed step is never started again', `${start.stepId} on ${start.worker}`);
    }
    const lease = `${start.fence}/${start.attempt}`;
    const known = this.#starts.get(name);
    if (known === undefined) this.#starts.set(name, new Set([lease]));
    else if (known.has(lease)) {
      this.#violated(
        'a body starts again only after its lease ended or its failure was reported',
        `${start.stepId} in ${lease}`,
      );
    } else known.add(lease);
  }

  /** A worker was told that these steps are durable. */
  acknowledged(runId: string, stepIds: readonly string[]): void {
    for (const stepId of stepIds) {
      this.#acknowledged.add(stepKey(runId, stepId));
      if (!this.#steps.has(stepKey(runId, stepId))) {
        this.#violated('an acknowledged step is stored', stepId);
      }
    }
  }

  /** At the end: the mirror this checker keeps equals the store, so that it has looked at all there was. */
  async compareWith(store: Store): Promise<void> {
    const stored = await store.scan({ table: runs, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of stored) {
      const mirrored = this.#runs.get(row.id);
      if (mirrored?.status !== row.status || mirrored.fence !== row.fence) {
        this.#violated('the checker sees every commit', `run ${row.id}`);
      }
    }
    for (const waits of this.#waits.values()) {
      for (const wait of waits.values()) {
        const run = this.#runs.get(wait.runId);
        if (run === undefined || isEnded(run))
          this.#violated('no wait outlives its run', `${wait.stepId} of ${wait.runId}`);
      }
    }
  }

  #applied({ puts, deletes }: WriteSet): void {
    const touched = new Set<string>();
    const removed: WaitRow[] = [];
    for (const { table, key } of deletes) {
      if (table !== waits) continue;
      const [runId, stepId] = key as [string, string];
      const wait = this.#waits.get(runId)?.get(stepId);
      if (wait !== undefined) removed.push(wait);
      this.#waits.get(runId)?.delete(stepId);
      touched.add(runId);
    }
    for (const { table, row } of puts) {
      if (table === runs) this.#runChanged(row as RunRow, touched);
      else if (table === waits) {
        this.#waitStored(row as WaitRow);
        touched.add((row as WaitRow).runId);
      }
    }
    for (const { table, row, expected } of puts)
      if (table === steps) this.#stepStored(row as StepRow, expected, removed);
    for (const runId of touched) this.#checkWakeUpSource(runId);
  }

  #runChanged(row: RunRow, touched = new Set<string>()): void {
    const before = this.#runs.get(row.id);
    if (before !== undefined && isEnded(before)) {
      this.#violated('a run that has ended never changes', `${row.id} from ${before.status} to ${row.status}`);
    }
    if (before !== undefined && row.fence < before.fence) this.#violated('a fence only grows', row.id);
    if (
      before?.status === 'running' &&
      row.status === 'running' &&
      before.fence === row.fence &&
      before.leaseSession !== row.leaseSession
    ) {
      this.#violated('a run has one lease at a time', row.id);
    }
    this.#runs.set(
      row.id,
      before === undefined ? row : { ...before, ...row, input: before.input, createdAt: before.createdAt },
    );
    touched.add(row.id);
  }

  #waitStored(row: WaitRow): void {
    const ofRun = this.#waits.get(row.runId) ?? new Map<string, WaitRow>();
    this.#waits.set(row.runId, ofRun.set(row.stepId, row));
  }

  #stepStored(row: StepRow, expected: number | null, removed: readonly WaitRow[]): void {
    const name = stepKey(row.runId, row.stepId);
    if (expected === null && this.#steps.has(name)) this.#violated('a step is recorded once', row.stepId);
    this.#steps.set(name, row);
    const run = this.#runs.get(row.runId);
    if (row.fence > 0 && run !== undefined && run.fence !== row.fence) {
      this.#violated(
        'only the holder of the lease writes',
        `${row.stepId} under ${row.fence}, the fence is ${run.fence}`,
      );
    }
    const wait = removed.find(({ runId, stepId }) => runId === row.runId && stepId === row.stepId);
    if (wait?.kind === 'sleep' && wait.dueAt !== null && this.#now() < wait.dueAt) {
      this.#violated('a timer never fires early', `${row.stepId} ${wait.dueAt - this.#now()} ms before its time`);
    }
  }

  #checkWakeUpSource(runId: string): void {
    const run = this.#runs.get(runId);
    if (run === undefined || isEnded(run)) return;
    const open = [...(this.#waits.get(runId)?.values() ?? [])].filter(({ resolution }) => resolution === null);
    const awake =
      (run.status === 'queued' && run.readyAt !== null) ||
      (run.status === 'running' && run.leaseSession !== null && run.deadlineAt !== null) ||
      (run.status === 'waiting' &&
        open.some(({ dueAt, kind }) => dueAt !== null || kind === 'event' || kind === 'child'));
    if (!awake) this.#violated('every run has a wake-up source', `${runId} is ${run.status}`);
    if (open.length !== run.openWaits) {
      this.#violated('a run counts its open waits', `${runId} has ${open.length}, counts ${run.openWaits}`);
    }
  }

  #violated(promise: string, what: string): void {
    this.violations.push(new Violation(promise, what));
  }
}

const stepKey = (runId: string, stepId: string) => `${runId} ${stepId}`;
