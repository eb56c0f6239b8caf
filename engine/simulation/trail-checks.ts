// The audit trail of recorded functions, from what is committed.
//   U1. What a run did (it began or ended, a step was recorded, an attempt or a lease failed, a wait began) has its entry in the same
//       commit, and there is no entry without it. Runs of other functions have none.
//   U2. An entry stays for its function's retention from its making, whatever becomes of the run, and leaves soon after; one of an
//       operator on another run stays as long as the run.
//   U3. Where clocks agree, the trail of a run is in the order of its commits.

import { isDeepStrictEqual } from 'node:util';
import type { WriteSet } from '../src/store/port.ts';
import type { Row, Table } from '../src/store/table.ts';
import {
  type AttemptRow,
  attempts,
  type RunAuditRow,
  type RunRow,
  runAudit,
  runs,
  type StepRow,
  steps,
  type WaitRow,
  waits,
} from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import type { Report } from './violation.ts';

/** How long an entry may stay when its time is over, in milliseconds: rounds are 10 seconds apart, and engines die. */
const OVERDUE_MS = 60_000;

export interface TrailOptions {
  readonly mirror: Mirror;
  readonly report: Report;
  /** True time. */
  readonly now: () => number;
  readonly skewMs: number;
  readonly severalEngines: boolean;
  /** For how long, in milliseconds, the entries of which functions are kept. */
  readonly retentions: ReadonlyMap<string, number>;
}

export class TrailChecks {
  readonly #options: TrailOptions;
  /** In the order of their commits. */
  readonly #entries = new Map<string, RunAuditRow>();
  count = 0;

  constructor(options: TrailOptions) {
    this.#options = options;
  }

  /** @param before - What the rows put were before; undefined for new ones. */
  committed(
    { puts }: Pick<WriteSet, 'puts'>,
    before: readonly (Row | undefined)[],
    restarts: (runId: string) => boolean,
  ) {
    const { retentions, report, mirror } = this.#options;
    const due = new Map<string, string[]>();
    const found = new Map<string, string[]>();
    const add = (map: Map<string, string[]>, runId: string, what: string) =>
      map.set(runId, [...(map.get(runId) ?? []), what]);
    for (const [i, { table, row }] of puts.entries()) {
      if (table === runAudit) {
        const entry = row as RunAuditRow;
        this.#stored(entry);
        if (entry.actor === null) add(found, entry.runId, `${entry.type} ${entry.stepId ?? ''}`);
        continue;
      }
      const runId = String(table === runs ? row['id'] : row['runId']);
      for (const what of happened(table, row, before[i], restarts(runId))) add(due, runId, what);
    }
    for (const runId of new Set([...due.keys(), ...found.keys()])) {
      const functionId = mirror.runs.get(runId)?.functionId ?? '';
      const expected = retentions.has(functionId) ? (due.get(runId) ?? []).toSorted() : [];
      const actual = (found.get(runId) ?? []).toSorted();
      if (!isDeepStrictEqual(actual, expected))
        report(
          'what a recorded run does is in its trail',
          `${runId}: ${actual.join(', ')} is not ${expected.join(', ')}`,
        );
    }
  }

  #stored(entry: RunAuditRow): void {
    const { report, retentions } = this.#options;
    this.count++;
    const name = nameOf(entry);
    if (this.#entries.has(name)) report('an audit entry never changes', name);
    this.#entries.set(name, entry);
    const retentionMs = retentions.get(entry.functionId);
    const ms = entry.expiresAt === null ? undefined : entry.expiresAt - entry.createdAt;
    const isRight = retentionMs === Number.POSITIVE_INFINITY ? (ms ?? 0) > 1e14 : ms === retentionMs;
    if (!isRight) report('an audit entry stays for its function’s retention', `${name}: ${ms} ms`);
  }

  removed(runId: string, id: string): void {
    const { report, now, skewMs, mirror } = this.#options;
    const entry = this.#entries.get(`${runId} ${id}`);
    this.#entries.delete(`${runId} ${id}`);
    if (entry === undefined) return;
    const isOver =
      entry.expiresAt === null
        ? mirror.runs.get(runId)?.endedAt != null // it leaves with its run
        : entry.expiresAt <= now() + skewMs;
    if (!isOver) report('an audit entry stays for its function’s retention', `${runId} ${id} left early`);
  }

  /** At the end. */
  compareWith(stored: readonly RunAuditRow[]): void {
    const { report, now, skewMs, severalEngines } = this.#options;
    const expected = [...this.#entries.values()];
    const byName = (a: RunAuditRow, b: RunAuditRow) => (nameOf(a) < nameOf(b) ? -1 : 1);
    if (!isDeepStrictEqual(stored.map(plain).toSorted(byName), expected.map(plain).toSorted(byName)))
      report('the store holds what was committed', 'audit entries');
    for (const { runId, id, expiresAt } of stored)
      if (expiresAt !== null && expiresAt < now() - OVERDUE_MS)
        report('nothing is overdue at the end', `${runId} ${id}`);
    if (skewMs > 0 || severalEngines) return; // entries of two engines sort by when their commands ran
    const last = new Map<string, string>();
    for (const { runId, id } of expected) {
      if (id < (last.get(runId) ?? '')) report('a trail is in the order of what happened', `${runId} ${id}`);
      last.set(runId, id);
    }
  }
}

/** What its trail must say of a row that is stored, and of which step. */
function happened(table: Table, row: Row, before: Row | undefined, isRestart: boolean): string[] {
  if (table === runs) return happenedToRun(row as RunRow, before as RunRow | undefined);
  if (before !== undefined) return [];
  if (table === steps) {
    const { status, stepId } = row as StepRow;
    return [`step.${status} ${stepId}`];
  }
  if (table === attempts && !isRestart) {
    const { stepId, outcome } = row as AttemptRow;
    if (outcome === 'unknown') return [stepId === '' ? 'run.lease_lost ' : `step.started ${stepId}`];
    return [stepId === '' ? 'run.attempt_failed ' : `step.attempt_failed ${stepId}`];
  }
  if (table === waits) {
    const { kind, stepId } = row as WaitRow;
    if (kind === 'decision') return [`step.undecided ${stepId}`];
    if (['sleep', 'event', 'any', 'child'].includes(kind)) return [`step.waiting ${stepId}`];
  }
  return [];
}

const ENDS: Readonly<Record<string, string>> = {
  completed: 'run.completed ',
  failed: 'run.failed ',
  cancelled: 'run.stopped ',
};

function happenedToRun(row: RunRow, before: RunRow | undefined): string[] {
  const end = ENDS[row.status];
  return [
    ...(before === undefined ? ['run.started '] : []),
    ...(before?.ending === null && row.ending !== null ? ['run.compensating '] : []),
    ...(end !== undefined && before?.endedAt == null ? [end] : []),
  ];
}

const nameOf = ({ runId, id }: RunAuditRow) => `${runId} ${id}`;
const plain = (row: RunAuditRow): RunAuditRow => ({ ...row });
