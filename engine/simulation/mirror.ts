// Mirror: the tables as they must be, going by what was committed. It is made of commits alone, never of reads.

import type { Stamp, WriteSet } from '../src/store/port.ts';
import type { Key, Row, Table } from '../src/store/table.ts';
import {
  type AttemptRow,
  attempts,
  functionVersions,
  type RunRow,
  runs,
  type SessionRow,
  type StepRow,
  sessions,
  steps,
  type WaitRow,
  waits,
} from '../src/store/tables.ts';

export class Mirror {
  readonly runs = new Map<string, RunRow>();
  readonly steps = new Map<string, StepRow>();
  /** Of runs that have not ended, by run and step. */
  readonly waits = new Map<string, Map<string, WaitRow>>();
  readonly attempts = new Map<string, AttemptRow[]>();
  readonly sessions = new Map<string, SessionRow>();
  readonly versions = new Set<string>();
  /** Runs that have not ended. */
  openRuns = 0;

  step(runId: string, stepId: string): StepRow | undefined {
    return this.steps.get(stepKey(runId, stepId));
  }

  waitsOf(runId: string): ReadonlyMap<string, WaitRow> {
    return this.waits.get(runId) ?? none;
  }

  attemptsOf(runId: string): readonly AttemptRow[] {
    return this.attempts.get(runId) ?? [];
  }

  delete(table: Table, key: Key): void {
    const [runId, stepId, number] = key as [string, string, number];
    if (table === waits) this.waits.get(runId)?.delete(stepId);
    else if (table === runs) this.runs.delete(runId);
    else if (table === steps) this.steps.delete(stepKey(runId, stepId));
    else if (table === attempts) {
      const left = this.attemptsOf(runId).filter((row) => row.stepId !== stepId || row.number !== number);
      if (left.length === 0) this.attempts.delete(runId);
      else this.attempts.set(runId, left);
    }
  }

  put(table: Table, row: Row, stamp: { readonly stamp: Stamp; readonly value: number } | undefined): void {
    if (table === runs) this.putRun((stamp ? { ...row, [stamp.stamp.column]: stamp.value } : row) as RunRow);
    else if (table === steps) {
      const stamped = stamp ? { ...row, [stamp.stamp.column]: stamp.value } : row;
      this.steps.set(stepKey(String(row['runId']), String(row['stepId'])), stamped as StepRow);
    } else if (table === waits) {
      const wait = row as WaitRow;
      let ofRun = this.waits.get(wait.runId);
      if (ofRun === undefined) {
        ofRun = new Map();
        this.waits.set(wait.runId, ofRun);
      }
      ofRun.set(wait.stepId, wait);
    } else if (table === attempts) {
      const attempt = row as AttemptRow;
      this.attempts.set(attempt.runId, [...this.attemptsOf(attempt.runId), attempt]);
    } else if (table === sessions) this.sessions.set(String(row['id']), row as SessionRow);
    else if (table === functionVersions) this.versions.add(versionKey(row['functionId'], row['version']));
  }

  putRun(row: RunRow): void {
    const before = this.runs.get(row.id);
    if (before === undefined) {
      this.runs.set(row.id, row);
      return;
    }
    const after: Record<string, unknown> = { ...before, ...row };
    for (const [name, column] of Object.entries(runs.columns)) {
      if (column.immutable) after[name] = before[name as keyof RunRow];
    }
    this.runs.set(row.id, after as RunRow); // the columns of two rows of runs
  }
}

const stepKey = (runId: string, stepId: string) => `${runId} ${stepId}`;
export const versionKey = (functionId: unknown, version: unknown) => `${functionId} ${version}`;
export const isPutOf = (writeSet: WriteSet, table: Table) => writeSet.puts.some((put) => put.table === table);
const none: ReadonlyMap<string, WaitRow> = new Map();
