// Checker: the promises as invariants (promises.ts), looked at on every commit, every start of a body, every answer, and at the end.

import { isDeepStrictEqual } from 'node:util';
import { isEnded } from '../src/kernel/run.ts';
import { getSteps } from '../src/queries/steps.ts';
import type { CommitResult, Store, WriteSet } from '../src/store/port.ts';
import type { Row, Table } from '../src/store/table.ts';
import {
  type AttemptRow,
  attempts,
  type EventRow,
  events,
  type RunRow,
  runAttributes,
  runAudit,
  runs,
  type StepRow,
  sessions,
  steps,
  topicMessages,
  type WaitRow,
  waits,
} from '../src/store/tables.ts';
import { AttributeChecks } from './attribute-checks.ts';
import { ChildChecks } from './child-checks.ts';
import { type Emitted, LogChecks } from './log-checks.ts';
import { isPutOf, Mirror } from './mirror.ts';
import { noOperations, Operations } from './operations.ts';
import { declaringAttributes, type Program, retentionsOf, withChildren } from './program.ts';
import { RunChecks } from './run-checks.ts';
import { SagaChecks } from './saga-checks.ts';
import { hasSecret } from './secret.ts';
import { StartChecks, type Started } from './start-checks.ts';
import { TopicChecks } from './topic-checks.ts';
import { TrailChecks } from './trail-checks.ts';
import { Violation } from './violation.ts';
import { type LogEntry, WaitChecks } from './wait-checks.ts';

export interface CheckerOptions {
  /** True time. */
  readonly now: () => number;
  /** How far clocks may be wrong, in milliseconds, either way. */
  readonly skewMs?: number;
  /** How far apart they may be for leases to be known to their workers, in milliseconds. */
  readonly toleratedSkewMs?: number;
  /** Whether more than one engine may be at work. */
  readonly severalEngines?: boolean;
  /** What is run: which of it is recorded, and for how long. */
  readonly programs: readonly Program[];
}

/** How long a session may stay due after its expiry once the storm is over, in milliseconds. */
const OVERDUE_MS = 60_000;

export class Checker {
  readonly violations: Violation[] = [];
  readonly mirror = new Mirror();
  /** True time. */
  readonly now: () => number;
  readonly #log: LogChecks;
  readonly #runs: RunChecks;
  readonly #children: ChildChecks;
  readonly #waits: WaitChecks;
  readonly #starts: StartChecks;
  readonly sagas: SagaChecks;
  readonly #topics: TopicChecks;
  readonly #trail: TrailChecks;
  readonly #attributes: AttributeChecks;
  readonly #looksForSecrets: boolean;
  #calmAt: number | undefined;

  constructor({ now, skewMs = 0, toleratedSkewMs = 0, severalEngines = false, programs }: CheckerOptions) {
    this.now = now;
    const report = (promise: string, what: string) => this.#violated(promise, what);
    this.#log = new LogChecks(this.mirror, report);
    this.#runs = new RunChecks(this.mirror, report);
    this.#children = new ChildChecks(this.mirror, report);
    this.#topics = new TopicChecks(this.mirror, report);
    const retentions = retentionsOf(programs);
    this.#trail = new TrailChecks({ mirror: this.mirror, report, now, skewMs, severalEngines, retentions });
    this.#attributes = new AttributeChecks({ log: this.#log.log, report, declaring: declaringAttributes(programs) });
    this.#looksForSecrets = programs.flatMap(withChildren).some(({ secret }) => secret === true);
    this.sagas = new SagaChecks(this.mirror, report);
    this.#starts = new StartChecks(this.mirror, report, skewMs <= toleratedSkewMs);
    this.#waits = new WaitChecks({
      mirror: this.mirror,
      log: this.#log.log,
      now,
      skewMs: () => skewMs,
      calmAt: () => this.#calmAt,
      report,
    });
  }

  get log(): readonly LogEntry[] {
    return this.#log.log;
  }

  /** Whether there ever was a run. */
  get hadRuns(): boolean {
    return this.#runs.hadRuns;
  }

  get starts(): number {
    return this.#starts.count;
  }

  get calmAt(): number | undefined {
    return this.#calmAt;
  }

  /** From here on no more faults. */
  calm(): void {
    this.#calmAt = this.now();
  }

  // ── what is committed ──

  /** Looks at write sets as they take effect, in their order. */
  committed(writeSets: readonly WriteSet[], results: readonly CommitResult[]): void {
    for (const [i, writeSet] of writeSets.entries()) {
      const result = results[i];
      if (result?.ok === true) this.#applied(writeSet, result);
    }
  }

  claimed(rows: readonly RunRow[]): void {
    for (const row of rows) {
      if (row.pause !== null) this.#violated('a paused run is given to nobody', row.id);
      const before = this.mirror.runs.get(row.id);
      this.mirror.putRun(row);
      this.#runChanged(before, row);
      if (before?.fence === row.fence) this.#violated('every lease raises the fence', row.id);
    }
    for (const row of rows) this.#runs.checkWakeUpSource(row.id);
  }

  #applied(writeSet: WriteSet, { positions, stamps }: CommitResult & { readonly ok: true }): void {
    const { puts, deletes, appends } = writeSet;
    const touched = new Set<string>();
    const removed: WaitRow[] = [];
    const operations = new Operations(writeSet);
    for (const { table, key } of deletes) {
      const [runId, stepId] = key as [string, string];
      if (table === waits) {
        const wait = this.mirror.waitsOf(runId).get(stepId);
        if (wait !== undefined && !operations.restarts(runId)) removed.push(wait);
        touched.add(runId);
      } else if (table === runAudit) this.#trail.removed(runId, stepId);
      else if (table === steps) this.#stepRemoved(runId, stepId, writeSet, operations);
      this.mirror.delete(table, key);
    }
    for (const [i, { log, row }] of appends.entries()) {
      if (log === events) this.#log.appended(row as EventRow, positions[i] ?? 0, this.now());
    }
    if (this.#looksForSecrets) this.#lookForSecrets(writeSet);
    const before = puts.map(({ table, row }) => this.#before(table, row));
    for (const [i, { table, row, stamp }] of puts.entries()) {
      const value = stamps[i];
      if (stamp !== undefined && 'log' in stamp && value !== this.#log.log.length) {
        this.#violated('a stamp is the head of its log', `${value} of ${this.#log.log.length}`);
      }
      this.mirror.put(table, row, stamp === undefined || value === undefined ? undefined : { stamp, value });
    }
    for (const [i, { table, row, expected }] of puts.entries()) {
      if (table === runs) {
        touched.add(String(row['id']));
        this.#runChanged(before[i] as RunRow | undefined, row as RunRow, operations);
      } else if (table === waits) {
        touched.add(String(row['runId']));
        this.#waitStored(before[i] as WaitRow | undefined, row as WaitRow, writeSet);
      } else if (table === steps) {
        if (operations.patches(String(row['stepId']))) continue;
        this.#stepStored(before[i] as StepRow | undefined, row as StepRow, expected, removed);
      } else if (table === attempts && !operations.restarts(String(row['runId'])))
        this.#attemptStored(row as AttemptRow);
    }
    const stored = puts.flatMap(({ table, row }) => (table === steps ? [row as StepRow] : []));
    this.#topics.committed(
      appends,
      positions,
      stored.map((row) => this.mirror.step(row.runId, row.stepId) ?? row),
    );
    this.#attributes.committed(writeSet, before);
    this.#trail.committed(writeSet, before, (runId) => operations.restarts(runId));
    for (const wait of removed) this.#waitRemoved(wait);
    for (const runId of touched) this.#runs.checkWakeUpSource(runId);
  }

  #before(table: Table, row: Row): Row | undefined {
    if (table === runs) return this.mirror.runs.get(String(row['id']));
    if (table === waits) return this.mirror.waitsOf(String(row['runId'])).get(String(row['stepId']));
    if (table === steps) return this.mirror.step(String(row['runId']), String(row['stepId']));
    if (table === attempts)
      return this.mirror
        .attemptsOf(String(row['runId']))
        .find(({ stepId, number }) => stepId === row['stepId'] && number === row['number']);
    return undefined;
  }

  #lookForSecrets({ puts, appends }: WriteSet): void {
    const written = [...puts, ...appends.map(({ log, row }) => ({ table: log, row }))];
    for (const { table, row } of written)
      for (const [column, value] of Object.entries(row))
        if (typeof value === 'string' && hasSecret(value))
          this.#violated('a secret is stored nowhere', `${table.name}.${column}: ${value.slice(0, 200)}`);
  }

  #runChanged(before: RunRow | undefined, row: RunRow, operations = noOperations): void {
    if (operations.restarts(row.id)) this.sagas.restarted(row.id);
    this.#runs.changed(before, row, operations);
  }

  /** A recorded step is gone: with its run, or because somebody restarted the run before it. */
  #stepRemoved(runId: string, stepId: string, writeSet: WriteSet, operations: Operations): void {
    const row = this.mirror.step(runId, stepId);
    const run = this.mirror.runs.get(runId);
    if (row === undefined || run === undefined) return;
    if (!operations.restarts(runId)) {
      if (!isEnded(run)) this.#violated('a recorded step never changes', `${stepId} is gone`);
      return;
    }
    if (row.childRunId !== null) this.#children.dropped(row.childRunId);
    const kept = [...this.mirror.attemptsOf(runId), ...writeSet.puts.filter(({ table }) => table === attempts)].some(
      (one) => {
        const attempt = ('row' in one ? one.row : one) as AttemptRow;
        return attempt.stepId === stepId && attempt.number === row.attempt && attempt.fence === row.fence;
      },
    );
    if (row.fence > 0 && !kept) this.#violated('each start of a body is an attempt on record', `${stepId}, dropped`);
    this.#starts.dropped(stepId);
    if (row.kind === 'publish') this.#topics.dropped();
  }

  #waitStored(before: WaitRow | undefined, row: WaitRow, writeSet: WriteSet): void {
    if (before === undefined) this.#waits.begun(row);
    else if (before.resolution === null && row.resolution !== null) this.#waits.fired(before);
    if (this.mirror.step(row.runId, row.stepId) !== undefined && !isPutOf(writeSet, steps)) {
      this.#violated('a step that is over does not wait', row.stepId);
    }
  }

  /** A wait left. Sleeps and waits with an outcome are looked at with their step. */
  #waitRemoved(wait: WaitRow): void {
    const run = this.mirror.runs.get(wait.runId);
    if (run?.status === 'cancelled' || run?.ending?.startsWith('{"status":"cancelled"'))
      this.#children.leftByCancel(wait);
    if (run === undefined || isEnded(run)) return;
    // What a run waited for is dropped when it is to be undone; from there on only its compensations wait.
    if (run.ending !== null && !wait.name.startsWith('compensate:')) return;
    // Decided so that the step runs again: its next attempt is allowed in the wait's place.
    if (wait.kind === 'decision' && this.mirror.waitsOf(wait.runId).get(wait.stepId)?.kind === 'retry') return;
    if (wait.kind === 'run-retry') this.#waits.fired(wait);
    else if (wait.kind === 'retry') {
      if (wait.resolution === null) this.#waits.fired(wait);
    } else if (this.mirror.step(wait.runId, wait.anyOf ?? wait.stepId) === undefined) {
      this.#violated('a wait leaves with its outcome', wait.stepId);
    }
  }

  #stepStored(before: StepRow | undefined, row: StepRow, expected: number | null, removed: readonly WaitRow[]): void {
    if (before !== undefined) {
      this.#violated(expected === null ? 'a step is recorded once' : 'a recorded step never changes', row.stepId);
    }
    this.#checkFence(row.runId, row.stepId, row.fence);
    this.sagas.stored(row);
    const wait = removed.find(({ runId, stepId }) => runId === row.runId && stepId === row.stepId);
    if (wait === undefined && this.mirror.waitsOf(row.runId).has(row.stepId)) {
      this.#violated('a step that is over does not wait', row.stepId);
    }
    if (row.kind === 'wait_for_event') this.#waits.ended(wait, row);
    if (row.kind === 'wait_for_any') {
      const alternatives = removed.filter(({ runId, anyOf }) => runId === row.runId && anyOf === row.stepId);
      this.#waits.endedAny(wait, alternatives, row);
    }
    if (wait !== undefined && (wait.kind === 'sleep' || row.status === 'timed_out')) this.#waits.fired(wait);
  }

  #attemptStored(row: AttemptRow): void {
    this.#checkFence(row.runId, row.stepId, row.fence);
  }

  #checkFence(runId: string, stepId: string, fence: number): void {
    const run = this.mirror.runs.get(runId);
    if (fence > 0 && run?.fence !== fence) {
      this.#violated('only the holder of the lease writes', `${stepId} under ${fence}, the fence is ${run?.fence}`);
    }
  }

  // ── what callers and workers see ──

  bodyStarted(start: Started): void {
    this.#starts.started(start);
  }

  /** A worker was told that these steps are durable. */
  acknowledged(runId: string, stepIds: readonly string[]): void {
    for (const stepId of stepIds) this.#starts.acknowledged(runId, stepId);
  }

  emitted(idempotencyKey: string, emitted: Emitted): void {
    this.#log.acknowledged(idempotencyKey, emitted);
  }

  /** A caller was told how a run has ended. */
  endTold(runId: string, status: string): void {
    this.#runs.endTold(runId, status);
  }

  /** The store was called this often at one instant. */
  wentRound(calls: number): void {
    this.#violated('no engine goes round in a circle', `${calls} calls of the store at one instant`);
  }

  /** A report that nobody may send was answered. */
  meddled(what: string, status: string): void {
    if (status !== 'refused') this.#violated('a report is taken from the holder of the lease alone', what);
  }

  follow(store: Pick<Store, 'head' | 'scan'>, env: string): Promise<void> {
    return this.#log.follow(store, env);
  }

  // ── the end ──

  /** At the end: nothing is left over, and the store holds what was committed and nothing else. */
  async compareWith(store: Pick<Store, 'get' | 'scan'>): Promise<void> {
    const all = async <R extends Row>(table: Table<R>): Promise<R[]> =>
      (await store.scan({ table, limit: Number.MAX_SAFE_INTEGER })).map(({ row }) => row);
    const [runRows, stepRows, waitRows, attemptRows, sessionRows] = [
      await all(runs),
      await all(steps),
      await all(waits),
      await all(attempts),
      await all(sessions),
    ];
    this.#log.compareWith(await all(events));
    this.#topics.compareWith(await all(topicMessages));
    this.#trail.compareWith(await all(runAudit));
    this.#attributes.compareWith(await all(runAttributes), new Set(runRows.map(({ id }) => id)));
    this.#starts.checkCovered();
    for (const { id, env } of runRows) this.#starts.checkBounds(id, await getSteps(store, env, id));
    const { mirror } = this;
    this.#compare('run', runRows, [...mirror.runs.values()], ({ id }) => id);
    this.#compare('step', stepRows, [...mirror.steps.values()], ({ runId, stepId }) => `${runId} ${stepId}`);
    this.#compare(
      'wait',
      waitRows,
      [...mirror.waits.values()].flatMap((ofRun) => [...ofRun.values()]),
      ({ stepId }) => stepId,
    );
    this.#compare(
      'attempt',
      attemptRows,
      [...mirror.attempts.values()].flat(),
      ({ runId, stepId, number }) => `${runId} ${stepId} ${number}`,
    );
    for (const { runId, stepId } of [...stepRows, ...waitRows, ...attemptRows]) {
      if (!mirror.runs.has(runId)) this.#violated('no rows without their run', `${stepId} of ${runId}`);
    }
    for (const { id, expiresAt } of sessionRows) {
      if (expiresAt !== null && expiresAt < this.now() - OVERDUE_MS) {
        this.#violated('nothing is overdue at the end', `session ${id}`);
      }
    }
    this.#children.checkCalls(runRows, stepRows);
    this.#runs.checkToldEnds();
  }

  #compare<R extends Row>(what: string, stored: readonly R[], expected: readonly R[], name: (row: R) => string): void {
    const left = new Map(expected.map((row) => [name(row), row]));
    for (const row of stored) {
      if (!isDeepStrictEqual({ ...left.get(name(row)) }, { ...row })) {
        this.#violated('the store holds what was committed', `${what} ${name(row)}`);
      }
      left.delete(name(row));
    }
    for (const missing of left.keys())
      this.#violated('the store holds what was committed', `${what} ${missing} is gone`);
  }

  violated(promise: string, what: string): void {
    this.#violated(promise, what);
  }

  #violated(promise: string, what: string): void {
    this.violations.push(new Violation(promise, what));
  }
}
