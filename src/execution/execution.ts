// Execution: one run of a function's code over its history, until it ends, suspends or is dropped.
//
//   running ──handler returned or threw──► ending ──all started bodies recorded──► completed | failed
//      │  ──every branch waits───────────► suspended ──kept, and leased again──► running
//      │                                           └─(compensations.ts)─┘
//      └──lease lost, run cancelled──────► dropped
//
//   X1. A body is called only when its step is not in the history and the gate is open (the lease is known to stand), and
//       its result settles only once it is durable.
//   X2. Nothing is thrown through user code: a step that waits returns a promise that does not settle in this execution.
//   X3. It suspends only when no body runs, nothing is on its way, and the code has come to rest at waits.
//   X4. Of one job at most one report is on its way; what comes up meanwhile goes into the next.
//   X5. After the end nothing starts or settles: steps called late return promises that never do.
//   X6. One that is kept goes on as if it had never stopped. Code that moves by itself while it is suspended spoils it: then the
//       run is replayed, as it would be elsewhere.
//   X7. When the engine says that the run is to be paused, what runs is finished and recorded, and nothing else is begun.

import { isRetryable, limits, NonDeterministicError, type Redactor } from '@ironflow/core';
import {
  type Assignment,
  type Continuation,
  type Failure,
  type JobEnd,
  type MemoEntry,
  type OpenWait,
  type Payload,
  payloadText,
  payloadValue,
  type Report,
  type ReportAnswer,
  type Resolution,
  redactedFailure,
  redactedPayload,
  type StepKind,
  type StepRecord,
  type StepStart,
  stepKindOfWait,
  type WaitRequest,
} from '@ironflow/core/wire';
import type { Turns } from '../turns.ts';
import { type BodyCall, LazyStepContext, neverAgainAfterTimeout, type RunningBodies, timeoutError } from './body.ts';
import { Compensations } from './compensations.ts';
import { failureFrom, stepErrorFrom } from './failure.ts';
import { History, type Turn } from './history.ts';
import type { Journal, Outcome } from './journal.ts';
import { payloadFrom } from './payload.ts';
import { lengthOf, portion, recordLength, waitLength } from './report-length.ts';
import { contradiction, stepInCompensation, tooManySteps, unknownToContract } from './step-errors.ts';

export interface ExecutionOptions {
  readonly assignment: Assignment;
  readonly journal: Journal;
  readonly turns: Turns;
  /** Undefined while bodies may start; otherwise a promise to wait for before asking again. */
  readonly gate?: (() => Promise<void> | undefined) | undefined;
  /** Who tries a failed step again: the engine, by itself (default), or nobody but a retry of the whole run. */
  readonly retries?: 'step' | 'run';
  /** Whether the execution may stay in memory when it is suspended. Default: it may not. */
  readonly keeps?: (() => boolean) | undefined;
  /** Takes the values of secrets out of all that is recorded: what a step gives back is the same now and on replay. */
  readonly redactor?: Redactor | undefined;
}

export interface MessageToPublish {
  readonly id: string;
  readonly name: string;
  readonly topic: string;
  readonly message: Payload;
}

type WaitFields = WaitRequest extends infer W ? (W extends WaitRequest ? Omit<W, 'wake' | 'sequence'> : never) : never;

/** How long code outside steps may take to come to a step that is in the history, in milliseconds. */
const UNREACHED_MS = 10_000;
/** After this long, results behind such a step go first. */
const HELD_UP_MS = 1_000;
/** Pause before asking again when the engine had news that it could not tell yet, in milliseconds. */
const ASK_AGAIN_MS = 10;

interface Parked {
  readonly id: string;
  readonly name: string;
  /** Settles the step with its entry; for a retry, starts the next attempt. */
  readonly settle: ((entry: MemoEntry) => void) | undefined;
  readonly retry: ((attempt: number) => void) | undefined;
}

interface Recorded {
  readonly record: StepRecord;
  readonly turn: Turn;
  readonly call: BodyCall;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class Execution {
  #assignment: Assignment;
  #journal: Journal;
  readonly #turns: Turns;
  readonly #gate: () => Promise<void> | undefined;
  readonly #retries: 'step' | 'run';
  readonly #redactor: Redactor | undefined;
  readonly #history: History;
  readonly #attempts: Map<string, number>;
  readonly #openWaits: Map<string, OpenWait['kind']>;
  readonly #parked = new Map<string, Parked>();
  readonly #bodies: RunningBodies = { aborts: new Set(), over: undefined };
  readonly #keeps: () => boolean;
  #outcome = Promise.withResolvers<Outcome>();
  readonly #compensations: Compensations<BodyCall>;
  #records: Recorded[] = [];
  #waits: WaitRequest[] = [];
  /** Bodies that begin once it is on record that they do. */
  #starts: { readonly start: StepStart; readonly begin: () => void; readonly give: (error: unknown) => void }[] = [];
  #seenWakes: number;
  #sequence: number;
  #stamped = 0;
  #running = 0;
  #reporting = false;
  #checkScheduled = false;
  #mustAsk = false;
  #end: JobEnd | undefined;
  #over = false;
  /** Suspended, and kept. */
  #asleep = false;
  /** The code moved while it was suspended. */
  #spoilt = false;
  /** Characters of payload that this execution holds. */
  #length: number;
  /** The run is to be paused: no body starts any more, and it suspends as soon as those that run are on record. */
  #pausing = false;
  /** Nothing is left to do or to wait for in this process. */
  #atRest = false;
  #cancelRest: (() => void) | undefined;

  constructor({
    assignment,
    journal,
    turns,
    gate = open,
    retries = 'step',
    keeps = never,
    redactor,
  }: ExecutionOptions) {
    this.#keeps = keeps;
    this.#length = lengthOf(assignment);
    this.#assignment = assignment;
    this.#journal = journal;
    this.#turns = turns;
    this.#retries = retries;
    this.#redactor = redactor;
    this.#gate = gate;
    this.#history = new History(assignment.memo, (callback) => turns.soon(callback));
    this.#attempts = new Map(assignment.attempts.map(({ stepId, attempt }) => [stepId, attempt]));
    this.#openWaits = new Map(assignment.waits.map(({ stepId, kind }) => [stepId, kind]));
    this.#seenWakes = assignment.wakes;
    this.#sequence = assignment.sequence;
    this.#compensations = new Compensations(assignment.ending);
  }

  /** Runs the handler over the history. Resolves when the execution is over, whichever way. */
  run(handler: () => unknown): Promise<Outcome> {
    Promise.resolve()
      .then(handler)
      .then(
        (value) => this.#handlerReturned(value),
        (error) => this.#handlerThrew(error),
      );
    this.#touch();
    return this.#outcome.promise;
  }

  get runId(): string {
    return this.#assignment.runId;
  }

  /** About how many characters of payload are in memory for it. */
  get length(): number {
    return this.#length;
  }

  /** Whether it may go on under a lease that follows the one it was suspended under. */
  canContinue(fence: number): boolean {
    return this.#asleep && !this.#spoilt && fence === this.#assignment.fence + 1;
  }

  /** Goes on where it was suspended, with what has happened since. Resolves as `run` does. */
  continue(continuation: Continuation, journal: Journal): Promise<Outcome> {
    const { jobId, fence, leaseToken, timeLeftMs, resolutions } = continuation;
    this.#assignment = { ...this.#assignment, jobId, fence, leaseToken, timeLeftMs };
    this.#journal = journal;
    this.#asleep = false;
    this.#outcome = Promise.withResolvers<Outcome>();
    for (const resolution of resolutions) this.resolve(resolution);
    this.#touch();
    return this.#outcome.promise;
  }

  // ── called by steps ──

  /** Runs a body, or gives back what it came to before. */
  call(call: BodyCall): Promise<unknown> {
    return this.#promise((resolve, reject) => {
      if (this.#recall(call.id, call.name, call.kind, resolve, reject)) return;
      if (this.#isUndone) this.#park({ id: call.id, name: call.name, settle: undefined, retry: undefined });
      else if (call.once && this.#retries === 'run') reject(unknownToContract(call.name, 'must not run twice'));
      else this.#begin(call, resolve, reject);
    });
  }

  #begin(call: BodyCall, resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
    const start = (attempt: number) => void this.#runBody(call, attempt, resolve, reject);
    const open = this.#openWaits.get(call.id);
    if (open === undefined) start(this.#attempts.get(call.id) ?? 1);
    else if (open === 'decision') {
      const settle = (entry: MemoEntry) => settleWith(entry, resolve, reject, same);
      this.#park({ id: call.id, name: call.name, settle, retry: start });
    } else if (open !== 'retry') this.#contradict(call.id, call.name, stepKindOfWait[open], call.kind);
    else this.#park({ id: call.id, name: call.name, settle: undefined, retry: start });
  }

  /**
   * Registers what undoes a step, should the run fail.
   * @throws {ValidationError} when the step has one.
   */
  compensate(stepName: string, call: BodyCall): void {
    this.#spoilt ||= this.#asleep;
    this.#compensations.register(call, stepName);
  }

  /** Begins a wait, or gives back how it ended. */
  wait(request: WaitFields, toValue: (output: unknown) => unknown): Promise<unknown> {
    return this.#promise((resolve, reject) => {
      const { stepId: id, name, kind } = request;
      if (kind === 'wait_for_any' && this.#retries === 'run') {
        reject(unknownToContract(name, 'waits for any of several events'));
        return;
      }
      if (this.#recall(id, name, kind, resolve, reject, toValue)) return;
      const open = this.#openWaits.get(id);
      if (open !== undefined && stepKindOfWait[open] !== kind) {
        this.#contradict(id, name, stepKindOfWait[open], kind);
        return;
      }
      const settle = (entry: MemoEntry) => settleWith(entry, resolve, reject, toValue);
      this.#park({ id, name, settle, retry: undefined });
      if (open !== undefined || this.#isUndone) return;
      this.#waits.push({ ...this.#withoutSecrets(request), wake: this.#seenWakes, sequence: ++this.#sequence });
      this.#touch();
    });
  }

  /** Publishes a message, or gives back what its step came to before. */
  publish({ id, name, topic, message }: MessageToPublish): Promise<unknown> {
    const { publish } = this.#journal;
    if (publish === undefined) return this.wait({ stepId: id, name, kind: 'publish', topic, data: message }, same);
    const body = () => publish.call(this.#journal, topic, message, id);
    return this.call({ id, name, kind: 'publish', body, timeoutMs: undefined });
  }

  now(): number {
    return this.#turns.now();
  }

  /** Whether the code is still at what it had come through when this execution began. */
  get isReplaying(): boolean {
    return this.#history.isReplaying;
  }

  // ── called by the transport ──

  /** A wait was met while this execution goes on. */
  resolve(resolution: Resolution): void {
    if (this.#over || resolution.wake <= this.#seenWakes) return;
    if (resolution.wake > this.#seenWakes + 1) {
      this.#mustAsk = true; // one before it is missing: the engine tells all of them in its next answer
      this.#touch();
      return;
    }
    this.#seenWakes = resolution.wake;
    if (resolution.kind === 'retry') {
      const { stepId, attempt } = resolution;
      this.#openWaits.delete(stepId);
      this.#attempts.set(stepId, attempt);
      const parked = this.#parked.get(stepId);
      this.#parked.delete(stepId);
      // The end may be on its way already: a body that started now would be on no record.
      if (this.#end === undefined) parked?.retry?.(attempt);
    } else {
      const { entry } = resolution;
      const parked = this.#parked.get(entry.stepId);
      this.#parked.delete(entry.stepId);
      this.#openWaits.delete(entry.stepId);
      this.#history.add(entry);
      if (parked !== undefined) this.#history.reach(entry.stepId, () => parked.settle?.(entry));
    }
    this.#touch();
  }

  /** The job is not ours any more. */
  drop(reason: string): void {
    this.#finish({ status: 'dropped', reason });
  }

  // ── bodies ──

  async #runBody(
    call: BodyCall,
    attempt: number,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): Promise<void> {
    if (this.#pausing) return; // a later execution calls it
    this.#running++;
    for (let closed = this.#gate(); closed !== undefined; closed = this.#gate()) await closed;
    if (this.#over) return;
    if (this.#pausing) {
      this.#running--;
      this.#touch();
      return;
    }
    if (call.once && !(await this.#putOnRecord(call, attempt))) return;
    const startedAt = this.#stamp();
    this.#compensations.inBody = call.kind === 'compensate';
    const result = await this.#bodyResult(call, attempt);
    this.#compensations.inBody = false;
    this.#running--;
    if (this.#over) return;
    const record: StepRecord = {
      stepId: call.id,
      name: call.name,
      kind: call.kind,
      attempt,
      wake: this.#seenWakes,
      sequence: ++this.#sequence,
      startedAt,
      endedAt: this.#stamp(),
      ...(call.once && { hasStart: true }),
      ...(call.once ? neverAgainAfterTimeout(result) : result),
      ...(result.status === 'failed' && call.retry && { retry: call.retry }),
    };
    if (result.status === 'completed') this.#length += payloadText(result.output).length;
    this.#records.push({ record, turn: this.#history.take(), call, resolve, reject });
    // The last body that ran speaks at once; while others run, those that end in the same turn speak together.
    if (this.#running === 0) this.#flush();
    this.#touch();
  }

  /** The time to record. It does not go back with the clock: of two bodies under one lease it tells which had begun before one ended. */
  #stamp(): number {
    this.#stamped = Math.max(this.#stamped, this.#turns.now());
    return this.#stamped;
  }

  /** Whether the body may begin: it is on record that it does, and the lease still stands. */
  async #putOnRecord({ id: stepId, name }: BodyCall, attempt: number): Promise<boolean> {
    try {
      await new Promise<void>((begin, give) => {
        this.#starts.push({ start: { stepId, name, attempt, startedAt: this.#stamp() }, begin, give });
        this.#flush();
        this.#touch();
      });
    } catch {
      this.#running--; // the execution ends with the reason
      this.#touch();
      return false;
    }
    for (let closed = this.#gate(); closed !== undefined; closed = this.#gate()) await closed;
    return !this.#over;
  }

  async #bodyResult(
    { id, name, body, timeoutMs }: BodyCall,
    attempt: number,
  ): Promise<{ status: 'completed'; output: Payload } | { status: 'failed'; error: Failure }> {
    const context = new LazyStepContext(attempt, id, this.#bodies);
    let cancelTimeout: (() => void) | undefined;
    try {
      let ending: unknown = body(context);
      if (timeoutMs !== undefined) {
        const timeout = Promise.withResolvers<never>();
        cancelTimeout = this.#turns.after(timeoutMs, () => timeout.reject(timeoutError(name, timeoutMs)));
        ending = Promise.race([ending, timeout.promise]);
      }
      return { status: 'completed', output: this.#payload(await ending, `output of step "${name}"`) };
    } catch (error) {
      context.abort(error);
      return { status: 'failed', error: this.#failure(error) };
    } finally {
      cancelTimeout?.();
      context.release();
    }
  }

  // ── reports ──

  #flush(): void {
    if (this.#reporting || this.#over) return;
    const [recorded, length] = portion(this.#records, limits.stepsPerReportMax, 0, recordLength);
    const [waits] = portion(this.#waits, limits.waitsPerReportMax, length, waitLength);
    const more = this.#records.length > 0 || this.#waits.length > 0;
    const end = more ? undefined : this.#endToReport(recorded.length > 0);
    const failing = more || recorded.length > 0 || this.#running > 0 ? undefined : this.#compensations.asked;
    const starts = this.#starts.splice(0, limits.stepsPerReportMax);
    const nothing = recorded.length + waits.length + starts.length === 0;
    if (nothing && end === undefined && failing === undefined && !this.#mustAsk) return;
    this.#mustAsk = false;
    this.#reporting = true;
    const { jobId, fence, leaseToken } = this.#assignment;
    const kept = end?.status === 'suspended' && !this.#pausing && this.#keeps();
    const report: Report = {
      jobId,
      fence,
      leaseToken,
      seenWakes: this.#seenWakes,
      records: recorded.map(({ record }) => record),
      waits,
      ...(starts.length > 0 && { starts: starts.map(({ start }) => start) }),
      ...(end && { end }),
      ...(kept && { kept }),
      ...(end?.status === 'suspended' && this.#pausing && { paused: true }),
      ...(failing && { failing }),
    };
    let answered: Promise<ReportAnswer>;
    try {
      answered = this.#journal.report(report);
    } catch (error) {
      answered = Promise.reject(error);
    }
    answered.then(
      (answer) => {
        this.#answered(answer, recorded, failing ? { status: 'failed', error: failing } : end, kept);
        for (const { begin } of starts) begin();
      },
      (error: unknown) => {
        this.#notTaken(error, recorded, end);
        for (const { give } of starts) give(error);
      },
    );
  }

  /** The engine will not take what was reported. The attempt fails with its reason, if it takes that. */
  #notTaken(error: unknown, recorded: readonly Recorded[], end: JobEnd | undefined): void {
    this.#reporting = false;
    if (this.#over) return;
    if (end?.status === 'failed' || !(error instanceof Error)) {
      this.drop(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.#compensations.undoing && recorded.some(({ record: { status } }) => status === 'completed')) {
      const failure = { ...failureFrom(error), retryable: false };
      this.#records = recorded.map((one) => ({ ...one, record: failedRecord(one.record, failure) }));
      this.#touch();
      return;
    }
    // Their steps come to nothing, and hold up nobody: what undoes the run takes its places behind them.
    for (const { turn } of [...recorded, ...this.#records]) this.#history.done(turn);
    this.#records = [];
    this.#waits = [];
    this.#end = { status: 'failed', error: { ...failureFrom(error), retryable: isRetryable(error) } };
    this.#touch();
  }

  /** What ends the job, if nothing else is left to say or to do. */
  #endToReport(hasRecords: boolean): JobEnd | undefined {
    if (this.#running > 0 || hasRecords || this.#compensations.asked !== undefined) return undefined;
    if (this.#compensates) return undefined;
    if (this.#end !== undefined) return this.#end;
    return this.#atRest ? { status: 'suspended' } : undefined;
  }

  #answered(answer: ReportAnswer, recorded: readonly Recorded[], end: JobEnd | undefined, kept: boolean): void {
    this.#reporting = false;
    if (this.#over) return;
    if (answer.status === 'refused') {
      this.drop(answer.message);
      return;
    }
    if (answer.pausing === true) this.#pausing = true;
    for (const one of recorded) this.#recordAnswered(one, answer.retries);
    for (const resolution of answer.resolutions) this.resolve(resolution);
    if (answer.ended && end !== undefined) {
      if (end.status === 'failed') this.#finish({ status: 'failed', error: end.error });
      else if (kept) this.#fallAsleep();
      else this.#finish({ status: end.status });
      return;
    }
    if (end?.status === 'failed') {
      this.#undo(end.error);
      return;
    }
    if (end?.status === 'suspended' && answer.resolutions.length === 0) {
      this.#turns.after(ASK_AGAIN_MS, () => this.#touch());
      return;
    }
    if (this.#records.length > 0) this.#flush();
    this.#touch();
  }

  #recordAnswered(
    { record, turn, call, resolve, reject }: Recorded,
    retries: readonly { readonly stepId: string; readonly attempt: number }[],
  ): void {
    const { error, output } = record;
    if (error === undefined) {
      this.#history.done(turn, () => resolve(output === undefined ? undefined : payloadValue(output)));
      return;
    }
    const retry = retries.find(({ stepId }) => stepId === call.id);
    if (retry === undefined) {
      const retryable = this.#retries === 'run' && error.retryable;
      this.#history.done(turn, () => reject(stepErrorFrom(error, call.id, call.name, retryable)));
      return;
    }
    this.#history.done(turn);
    const start = (attempt: number) => void this.#runBody(call, attempt, resolve, reject);
    // Word that it is due may have overtaken this answer. Nobody says it again to an execution that is kept.
    const isDue = (this.#attempts.get(call.id) ?? 0) >= retry.attempt;
    if (!isDue) this.#park({ id: call.id, name: call.name, settle: undefined, retry: start });
    else if (this.#end === undefined) start(retry.attempt);
  }

  // ── coming to rest ──

  /** Something happened: look, once the code has gone as far as it can, what follows. */
  #touch(): void {
    this.#atRest = false;
    this.#cancelRest?.();
    this.#cancelRest = undefined;
    if (this.#checkScheduled || this.#over || this.#asleep) return;
    this.#checkScheduled = true;
    this.#turns.soon(() => {
      this.#checkScheduled = false;
      this.#check();
    });
  }

  #check(): void {
    if (this.#over || this.#asleep || this.#reporting) return;
    if (this.#history.isMoving) {
      this.#touch();
      return;
    }
    if (this.#compensations.undoing && this.#history.isHeldUp) {
      this.#passOver();
      return;
    }
    if (this.#records.length > 0 || this.#mustAsk || this.#running > 0) {
      this.#flush(); // with bodies running, waits are told at once: they count from now
      if (this.#running > 0 && this.#history.isHeldUp) this.#rest(HELD_UP_MS, () => this.#passOver());
      return;
    }
    if (this.#pausing && this.#end === undefined) {
      this.#atRest = true;
      this.#flush();
      return;
    }
    // A failure stands for itself: it may be why recorded steps are not reached.
    if (this.#end?.status !== 'failed' && !this.#compensations.undoing) {
      if (this.#history.isHeldUp) {
        this.#rest(HELD_UP_MS, () => this.#passOver());
        return;
      }
      if (this.#end === undefined && this.#parked.size === 0) return; // the code is at something of its own
      if (this.#history.unreached().length > 0) {
        this.#rest(UNREACHED_MS, () => this.#failUnreached());
        return;
      }
    }
    if (this.#compensates) {
      this.#compensateNow();
      return;
    }
    this.#atRest = true;
    this.#flush();
  }

  // ── undoing (compensations.ts) ──

  /** Whether the run is to be undone, or has been: nothing of the function starts any more. */
  get #isUndone(): boolean {
    return this.#compensations.ending !== undefined;
  }

  /** Whether what is registered comes before the end can be told. */
  get #compensates(): boolean {
    const { ending, isEmpty, undoing } = this.#compensations;
    if (undoing || this.#over) return false;
    if (ending !== undefined) return true;
    if (isEmpty || this.#end?.status !== 'failed') return false;
    return this.#retries === 'step' || !this.#end.error.retryable; // where the run is retried, nobody tells the last attempt
  }

  #compensateNow(): void {
    const { ending } = this.#compensations;
    if (ending !== undefined) this.#undo(ending);
    else if (this.#end?.status === 'failed') {
      if (this.#retries === 'run') this.#undo(this.#end.error);
      else {
        this.#compensations.asked = this.#end.error;
        this.#waits = []; // nobody comes back to them
        this.#flush();
      }
    }
  }

  #undo(ending: Failure): void {
    const compensations = this.#compensations;
    compensations.ending = ending;
    compensations.asked = undefined;
    compensations.undoing = true;
    this.#pausing = false; // what is to be undone is undone first
    this.#end = undefined;
    this.#waits = [];
    this.#parked.clear();
    const all = async () => {
      for (const call of compensations.inOrder()) {
        await new Promise<void>((resolve) => {
          if (
            !this.#recall(
              call.id,
              call.name,
              call.kind,
              () => resolve(),
              () => resolve(),
            )
          )
            this.#begin(
              call,
              () => resolve(),
              () => resolve(),
            );
        });
      }
      this.#end = { status: 'failed', error: ending };
      this.#touch();
    };
    void all();
    this.#touch();
  }

  #rest(ms: number, then: () => void): void {
    this.#cancelRest?.();
    this.#cancelRest = this.#turns.after(ms, () => {
      this.#cancelRest = undefined;
      if (!this.#over) then();
    });
  }

  #passOver(): void {
    this.#history.passOver();
    this.#touch();
  }

  #failUnreached(): void {
    if (this.#compensations.ending !== undefined) {
      this.#undo(this.#compensations.ending);
      return;
    }
    const missing = this.#history.unreached();
    const names = missing.map(({ name }) => `"${name}"`).join(', ');
    const reached = [...this.#parked.values()].map(({ name }) => `"${name}"`).join(', ');
    const where = this.#end === undefined ? `it waits at ${reached}` : `it has ${this.#end.status}`;
    this.#end = {
      status: 'failed',
      error: failureFrom(
        new NonDeterministicError(
          `The function no longer comes to ${names}, recorded in this run before; now ${where}. ` +
            'Keep the order of steps the same for runs that are under way, and keep time, randomness and I/O inside steps.',
          { details: { recorded: missing.map(({ stepId, kind }) => ({ stepId, kind })), now: where } },
        ),
      ),
    };
    this.#touch();
  }

  // ── the end ──

  #handlerReturned(value: unknown): void {
    this.#spoilt ||= this.#asleep;
    if (this.#end !== undefined || this.#asleep) return;
    try {
      this.#end = { status: 'completed', output: this.#payload(value, 'output of the function') };
    } catch (error) {
      this.#end = { status: 'failed', error: failureFrom(error) };
    }
    this.#touch();
  }

  #handlerThrew(error: unknown): void {
    this.#spoilt ||= this.#asleep;
    if (this.#asleep) return;
    this.#end ??= { status: 'failed', error: this.#failure(error) };
    this.#touch();
  }

  /** Suspended: nothing moves, until it is continued or dropped. */
  #fallAsleep(): void {
    this.#asleep = true;
    this.#cancelRest?.();
    this.#cancelRest = undefined;
    this.#assignment = { ...this.#assignment, memo: [], attempts: [], waits: [] }; // the history has them
    this.#outcome.resolve({ status: 'suspended', kept: true });
  }

  #finish(outcome: Outcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelRest?.();
    this.#parked.clear();
    this.#history.stop();
    const why = outcome.status === 'dropped' ? outcome.reason : `the execution has ${outcome.status}`;
    this.#bodies.over = new Error(why);
    for (const abort of this.#bodies.aborts) abort.abort(this.#bodies.over);
    this.#outcome.resolve(outcome);
  }

  // ── parts ──

  #payload(value: unknown, what: string): Payload {
    const payload = payloadFrom(value, what);
    return this.#redactor === undefined ? payload : redactedPayload(payload, this.#redactor);
  }

  #failure(error: unknown): Failure {
    const failure = failureFrom(error);
    return this.#redactor === undefined ? failure : redactedFailure(failure, this.#redactor);
  }

  #withoutSecrets(request: WaitFields): WaitFields {
    if (this.#redactor === undefined || !('input' in request)) return request;
    return { ...request, input: redactedPayload(request.input, this.#redactor) };
  }

  #promise(start: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#spoilt ||= this.#asleep;
    if (this.#asleep) return promise;
    if (this.#sequence >= limits.stepsPerRunMax) this.#handlerThrew(tooManySteps());
    if (this.#compensations.inBody) reject(stepInCompensation());
    else if (!this.#over && this.#end === undefined && !this.#compensations.undoing) start(resolve, reject);
    return promise;
  }

  /** If the step is in the history, arranges for its recorded end to settle it in its turn. */
  #recall(
    id: string,
    name: string,
    kind: StepKind,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    toValue: (output: unknown) => unknown = same,
  ): boolean {
    const entry = this.#history.entry(id);
    if (entry === undefined) return false;
    if (entry.kind !== undefined && entry.kind !== kind) this.#contradict(id, name, entry.kind, kind);
    else this.#history.reach(id, () => settleWith(entry, resolve, reject, toValue));
    this.#touch();
    return true;
  }

  #contradict(stepId: string, name: string, recorded: StepKind, now: StepKind): void {
    this.#end ??= { status: 'failed', error: failureFrom(contradiction(stepId, name, recorded, now)) };
    this.#touch();
  }

  #park(parked: Parked): void {
    this.#parked.set(parked.id, parked);
    this.#touch();
  }
}

function settleWith(
  entry: MemoEntry,
  resolve: (value: unknown) => void,
  reject: (error: unknown) => void,
  toValue: (output: unknown) => unknown,
): void {
  if (entry.status === 'completed') resolve(toValue(entry.output === undefined ? null : payloadValue(entry.output)));
  else reject(stepErrorFrom(entry.error ?? lostError, entry.stepId, entry.name));
}

const open = () => undefined;
const never = () => false;
const same = (value: unknown) => value;
const lostError: Failure = { code: 'STEP_FAILED', message: 'The step failed.', retryable: false };

function failedRecord({ output, ...record }: StepRecord, error: Failure): StepRecord {
  return { ...record, status: 'failed', error };
}
