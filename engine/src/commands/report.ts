// A worker's report on one job: steps that ended, waits that began, the end of the job. Stored together or refused together.
//   P1. Only the holder of the run's lease is heard (kernel/lease.ts).
//   P2. A step is recorded once. The same report again (its answer was lost) changes nothing; it gets the same answer, or is
//       refused because it ended the job, which tells the worker as much.
//   P3. After an accepted report the run has a wake-up source, or has ended.
// A report that only records steps reads nothing (the run's row is in memory) and writes one row a step.

import { jsonNull, type RetryPolicy } from '@ironflow/core';
import {
  type Failure,
  type JobEnd,
  payloadText,
  type Report,
  type ReportAnswer,
  type Resolution,
  type StepKind,
  type StepRecord,
  type StepStart,
  type WaitRequest,
} from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { decideFailure, type FailureDecision } from '../kernel/failure-policy.ts';
import { refuseReport } from '../kernel/lease.ts';
import { jobIdOf, parkRun, parseJobId, restartOf, restRun } from '../kernel/run.ts';
import { attempts, type RunRow, runs, steps, waits } from '../store/tables.ts';
import { beginWait } from './begin-wait.ts';
import { beginEnding, completeRun, failRun, finishEnding } from './end-run.ts';
import { insertAttempt, insertStep } from './insert-records.ts';
import type { CommandPorts } from './ports.ts';
import { redactedReport } from './redact-report.ts';
import { contradiction, endlessWait, IDLE_LEASES_MAX, startedBefore, unknownFailure } from './report-failures.ts';
import type { Reporter } from './reporter.ts';
import { resolutionsSince } from './resolutions.ts';
import { decideRunFailure, retryOrFailRun, waitForRetry } from './retry-run.ts';
import { declaresNone, redactorOf } from './secrets.ts';
import { makeReady } from './start-runs.ts';
import { blankWait } from './waits.ts';

export interface ReportInput {
  readonly sessionId: string;
  readonly report: Report;
  readonly reporter: Reporter;
}

export async function report(tx: Transaction, input: ReportInput, ports: CommandPorts): Promise<ReportAnswer> {
  const { sessionId } = input;
  let { report } = input;
  const job = parseJobId(report.jobId);
  const stored = job === undefined ? null : await tx.get(runs, [job.runId]);
  const refusal = refuseReport(stored, { sessionId, fence: report.fence, token: report.leaseToken });
  if (refusal !== undefined || stored === null) {
    return { status: 'refused', code: refusal?.code ?? 'RUN_NOT_FOUND', message: refusal?.message ?? '' };
  }

  const redactor = declaresNone(stored, ports) ? undefined : await redactorOf(tx, stored, ports);
  if (redactor !== undefined) report = redactedReport(report, redactor);
  const execution = new ReportedRun(tx, stored, { ...input, report }, ports);
  for (const record of report.records) await execution.record(record);
  for (const start of report.starts ?? []) await execution.start(start);
  const goesOn = report.failing === undefined && (report.end === undefined || report.end.status === 'suspended');
  if (goesOn && !execution.mustFail) for (const wait of report.waits) await execution.begin(wait);
  return execution.end();
}

/** The run while one report is applied to it. */
class ReportedRun {
  readonly #tx: Transaction;
  readonly #input: ReportInput;
  readonly #ports: CommandPorts;
  readonly #before: RunRow;
  readonly #retries: { stepId: string; attempt: number; dueAt: number }[] = [];
  readonly #reported = new Map<string, StepKind>();
  /** Waits of this report that were met at once; the store does not have them yet. */
  readonly #metNow: Resolution[] = [];
  #run: RunRow;
  #broughtNews = false;
  /** Set when what was reported cannot stand: the run fails, whatever else the report says. */
  #fatal: Failure | undefined;

  constructor(tx: Transaction, run: RunRow, input: ReportInput, ports: CommandPorts) {
    this.#tx = tx;
    this.#before = run;
    this.#run = run;
    this.#input = input;
    this.#ports = ports;
  }

  /** What was recorded cannot stand: nothing more is begun. */
  get mustFail(): boolean {
    return this.#fatal !== undefined;
  }

  /** A body begins that must not begin again while nobody knows how it ended. */
  async start({ stepId, name, attempt: number, startedAt }: StepStart): Promise<void> {
    const tx = this.#tx;
    if (tx.attempt === 1) tx.expectAbsent(steps, [this.#run.id, stepId]);
    else if ((await tx.get(steps, [this.#run.id, stepId])) !== null) return; // told again, late: it is over
    const known = tx.attempt > 1 ? await tx.get(attempts, [this.#run.id, stepId, number]) : null;
    if (known !== null) {
      if (known.fence !== this.#before.fence) this.#fatal ??= startedBefore(name, number);
      return;
    }
    this.#broughtNews = true;
    const { id: runId, fence } = this.#run;
    const who = { fence, sessionId: this.#input.sessionId };
    tx.insert(attempts, {
      runId,
      stepId,
      number,
      name,
      ...who,
      outcome: 'unknown',
      error: null,
      startedAt,
      endedAt: startedAt,
    });
  }

  async record(reported: StepRecord): Promise<void> {
    const tx = this.#tx;
    const record = this.#input.reporter.retriesSteps ? reported : { ...reported, ...this.#place };
    if (this.#isRepeated(record)) return;
    // The first try takes for granted that the step is new. Where it is not, the commit refuses and we come again and look.
    // Where an attempt's row may be there before its end (of a restarted run, of a start on record), we look at once.
    const looks = tx.attempt > 1 || this.#before.restart !== null || record.hasStart === true;
    if (looks && (await this.#isRecorded(record))) return;
    this.#broughtNews = true;
    if (record.hasStart === true) await this.#dropStart(record);
    if (record.attempt > 1) await this.#dropRetry(record.stepId);
    if (record.status === 'completed') {
      insertStep(this.#tx, this.#before, this.#input.sessionId, record, {
        status: 'completed',
        output: record.output === undefined ? jsonNull : payloadText(record.output),
      });
      return;
    }
    const failure = record.error ?? unknownFailure;
    if (!this.#input.reporter.retriesSteps && record.kind === 'run') {
      // This contract retries the run, not the step: a failed step stays open, and the job's end says what follows.
      insertAttempt(this.#tx, this.#before, this.#input.sessionId, record, failure);
      return;
    }
    await this.#recordFailure(record, failure);
  }

  /** The published contract tells neither a step's attempt nor what its worker had been told by then: the lease does. */
  get #place(): { readonly attempt: number; readonly wake: number } {
    const { attempt, wakes, unseenWakes } = this.#before;
    return { attempt, wake: wakes - unseenWakes };
  }

  /** Whether the report has it twice: parallels of one name share the ids of their steps. */
  #isRepeated(record: StepRecord): boolean {
    const key = `${record.status} ${record.attempt} ${record.stepId}`;
    const kind = this.#reported.get(key);
    if (kind === undefined) this.#reported.set(key, record.kind);
    else if (kind !== record.kind) this.#fatal ??= contradiction(record, kind);
    return kind !== undefined;
  }

  /** Whether this attempt is stored already. If it is, and another one follows, the answer says so again. */
  async #isRecorded(record: StepRecord): Promise<boolean> {
    const tx = this.#tx;
    const step = await tx.get(steps, [this.#run.id, record.stepId]);
    if (step !== null) {
      if (step.kind !== record.kind) this.#fatal ??= contradiction(record, step.kind);
      return true;
    }
    if (record.status === 'completed') return false;
    const attempt = await tx.get(attempts, [this.#run.id, record.stepId, record.attempt]);
    if (attempt === null || attempt.outcome === 'unknown') return false; // at most its start is on record
    const wait = await tx.get(waits, [this.#run.id, record.stepId]);
    if (wait?.kind === 'retry') {
      this.#retries.push({ stepId: record.stepId, attempt: wait.attempt, dueAt: wait.dueAt ?? tx.now });
    }
    return true;
  }

  async #recordFailure(record: StepRecord, failure: Failure): Promise<void> {
    const tx = this.#tx;
    const run = this.#run;
    const definition = await this.#ports.functions.version(tx, run.env, run.functionId, run.functionVersion);
    const decision =
      definition === undefined || !this.#input.reporter.retriesSteps
        ? ({ kind: 'final' } as const)
        : await this.#decide(record.retry ?? definition.retry, failure, record);
    if (decision.kind === 'final') {
      insertStep(this.#tx, this.#before, this.#input.sessionId, record, { status: 'failed', error: failure });
      return;
    }
    insertAttempt(this.#tx, this.#before, this.#input.sessionId, record, failure);
    tx.insert(waits, {
      ...blankWait,
      runId: run.id,
      stepId: record.stepId,
      env: run.env,
      name: record.name,
      kind: 'retry',
      dueAt: decision.dueAt,
      attempt: decision.attempt,
      failable: true,
      wake: record.wake,
      sequence: record.sequence,
      createdAt: tx.now,
    });
    tx.afterCommit(() => this.#ports.outside.waitDueAt(this.#before.id, decision.dueAt));
    this.#run = { ...run, openWaits: run.openWaits + 1 };
    this.#retries.push({ stepId: record.stepId, attempt: decision.attempt, dueAt: decision.dueAt });
  }

  /** What was tried before a restart of the run counts no more. */
  async #decide(policy: RetryPolicy, failure: Failure, { stepId, attempt }: StepRecord): Promise<FailureDecision> {
    const restart = restartOf(this.#run);
    if (restart === undefined) return decideFailure(policy, failure, attempt, this.#tx.now);
    const tried = await this.#tx.scan({
      table: attempts,
      prefix: [this.#run.id, stepId],
      limit: Number.MAX_SAFE_INTEGER,
    });
    const before = Math.max(0, ...tried.filter(({ fence }) => fence <= restart.fence).map(({ number }) => number));
    const decision = decideFailure(policy, failure, attempt - before, this.#tx.now);
    return decision.kind === 'retry' ? { ...decision, attempt: attempt + 1 } : decision;
  }

  async begin(request: WaitRequest): Promise<void> {
    const failable = this.#input.reporter.failable(request.kind);
    const wake = this.#input.reporter.retriesSteps ? request.wake : this.#place.wake;
    const begun = await beginWait(this.#tx, this.#run, { ...request, wake }, { failable }, this.#ports);
    this.#run = begun.run;
    this.#broughtNews ||= begun.isNew;
    this.#fatal ??= begun.fatal;
    if (begun.met !== undefined) this.#metNow.push({ kind: 'settled', wake: begun.met.wake, entry: begun.met });
  }

  async end(): Promise<ReportAnswer> {
    const { end } = this.#input.report;
    const run = this.#run;
    if (run.ending !== null) return this.#endUndoing(end);
    if (this.#fatal !== undefined) return this.#failNow(this.#fatal);
    if (this.#input.report.failing !== undefined) return this.#failing(this.#input.report.failing);
    switch (end?.status) {
      case undefined:
        this.#writeIfChanged(run);
        return this.#answer(false);
      case 'completed':
        await completeRun(this.#tx, run, payloadText(end.output), this.#ports);
        return this.#answer(true);
      case 'failed':
        await retryOrFailRun(this.#tx, run, end.error, this.#ports, false);
        return this.#answer(true);
      case 'suspended':
        return this.#suspend();
    }
  }

  /** The function has failed, and has compensations: its worker runs them under this lease, unless there is another attempt. */
  async #failing(error: Failure): Promise<ReportAnswer> {
    const decision = await decideRunFailure(this.#tx, this.#run, error, this.#ports);
    if (decision.kind === 'retry') {
      waitForRetry(this.#tx, this.#run, error, decision, this.#ports, false);
      return this.#answer(true);
    }
    this.#run = await beginEnding(this.#tx, this.#run, { status: 'failed', error });
    this.#tx.update(runs, this.#run);
    return this.#answer(false);
  }

  /** What a report says of a run that is to be undone: how that ends is decided. */
  async #endUndoing(end: JobEnd | undefined): Promise<ReportAnswer> {
    if (end?.status === 'suspended') return this.#suspend();
    if (end === undefined && this.#input.reporter.goesOn) {
      this.#writeIfChanged(this.#run);
      return this.#answer(false);
    }
    await finishEnding(this.#tx, this.#run, this.#ports, false);
    return this.#answer(true);
  }

  async #failNow(error: Failure): Promise<ReportAnswer> {
    if (this.#input.reporter.retriesSteps) {
      const undone = await beginEnding(this.#tx, this.#run, { status: 'failed', error });
      this.#tx.afterCommit(() => this.#jobEnded());
      this.#tx.update(runs, await makeReady(this.#tx, undone, this.#ports));
      return this.#answer(true);
    }
    await failRun(this.#tx, this.#run, error, this.#ports, false);
    return this.#answer(true);
  }

  async #suspend(): Promise<ReportAnswer> {
    const tx = this.#tx;
    const { report, reporter } = this.#input;
    const run = this.#run;
    // Our executor says what it has seen; for others, all that was met while they held the lease is unseen.
    const hasUnseen = reporter.retriesSteps ? run.wakes > report.seenWakes : run.unseenWakes > 0;
    // It may have started a body for what it was told of meanwhile. One that is to be paused says so again when it has seen all.
    if (hasUnseen && reporter.goesOn) {
      this.#writeIfChanged(run);
      return this.#answer(false);
    }
    if (run.pause !== null) {
      tx.afterCommit(() => this.#jobEnded());
      tx.update(runs, restRun(run, tx.now));
      return this.#answer(true);
    }
    // Somebody has ended the pause before its worker had come to rest: what that did not begin would begin with no wait that is met.
    const wasPaused = report.paused === true;
    const idleLeases = this.#broughtNews || wasPaused ? 0 : run.idleLeases + 1;
    const mayPark = run.openWaits > 0 && !hasUnseen && !wasPaused;
    if (!mayPark && idleLeases > IDLE_LEASES_MAX) return this.#failNow(endlessWait(report));
    tx.afterCommit(() => this.#jobEnded());
    tx.update(runs, mayPark ? parkRun(run, tx.now) : await makeReady(tx, { ...run, idleLeases }, this.#ports));
    return this.#answer(true);
  }

  async #answer(ended: boolean): Promise<ReportAnswer> {
    const { report, reporter } = this.#input;
    // What is to be undone is undone first.
    const pausing = !ended && this.#run.pause !== null && this.#run.ending === null;
    const accepted = { status: 'accepted', ended, retries: this.#retries, ...(pausing && { pausing }) } as const;
    const behind = reporter.goesOn && !ended && this.#run.wakes > report.seenWakes;
    if (!behind) return { ...accepted, resolutions: [] };
    const earlier = this.#before.wakes > report.seenWakes;
    const stored = earlier ? await resolutionsSince(this.#tx, this.#run.id, report.seenWakes) : [];
    return { ...accepted, resolutions: [...stored, ...this.#metNow] };
  }

  /** The lease goes on. It is not an idle one if it brought something, even if its last report has nothing more to say. */
  #writeIfChanged(reported: RunRow): void {
    const run = this.#broughtNews && reported.idleLeases > 0 ? { ...reported, idleLeases: 0 } : reported;
    if (run !== this.#before) this.#tx.update(runs, { ...run, updatedAt: this.#tx.now });
  }

  #jobEnded(): void {
    this.#ports.outside.jobEnded(this.#input.sessionId, jobIdOf(this.#before.id, this.#before.fence));
  }

  async #dropRetry(stepId: string): Promise<void> {
    const wait = await this.#tx.get(waits, [this.#run.id, stepId]);
    if (wait?.kind !== 'retry') return;
    this.#tx.delete(waits, [this.#run.id, stepId]);
    // A retry that started before it was due (its worker counted the delay itself) was still open.
    if (wait.resolution === null) this.#run = { ...this.#run, openWaits: this.#run.openWaits - 1 };
  }

  /** What its start left open is told by how it ended. */
  async #dropStart({ stepId, attempt }: StepRecord): Promise<void> {
    const key = [this.#run.id, stepId, attempt];
    if ((await this.#tx.get(attempts, key))?.outcome === 'unknown') this.#tx.delete(attempts, key);
  }
}
