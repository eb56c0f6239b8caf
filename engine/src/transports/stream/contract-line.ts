// The contract's own messages: the line to a published streaming worker (protocol: "Streaming worker").
//
//   sent ──job_ack──► acknowledged ──job_completed, job_failed, a yield──► over
//     └──silence──► handed to others        └──not in a heartbeat──► lost
//
//   T1. A published worker drops a job that comes when it is full, without a word: one that is not acknowledged in time goes to
//       others, and this worker gets no more until it is heard of a job that ended, or by its next heartbeat.
//   T2. It tells nothing of a function that waits: its job only vanishes from the next heartbeat. Such a run is executed again from
//       its memo; when that happens time after time, it fails, saying why (commands/sessions.ts).
//   T3. A report under a lease that is over is answered by a cancel: ending the stream would cost the worker its other jobs.

import { create, fromBinary, type JsonObject, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { timestampDate, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type IronflowError, type Json, ValidationError } from '@ironflow/core';
import { enveloped } from '@ironflow/core/frames';
import {
  type EngineMessage,
  EngineMessageSchema,
  type ExecutedStep,
  type JobAssignment,
  JobAssignmentSchema,
  LeaseState,
  type StepYielded,
  type WorkerHeartbeat,
  type WorkerMessage,
  WorkerMessageSchema,
} from '@ironflow/core/proto';
import {
  type Assignment,
  contractReportFromJson,
  isContinuation,
  type Payload,
  payloadValue,
  type Report,
} from '@ironflow/core/wire';
import { parseJobId } from '../../kernel/run.ts';
import type { Timer } from '../../ports/clock.ts';
import type { LineHandlers, StreamLine } from '../../workers/stream-line.ts';
import { publicError } from '../exchange.ts';
import { moved, notRegistered } from './end-of-stream.ts';
import type { Line, LineOutlet } from './line.ts';

type Sent = NonNullable<EngineMessage['payload']['value']>;

export class ContractLine implements Line {
  readonly handlers: LineHandlers = {
    assigned: (offer) => {
      if (!isContinuation(offer)) this.#assign(offer); // such a worker keeps no executions
    },
    resolved: () => {}, // it could not be told of
    revoked: (jobId, _code, message) => this.#cancel(jobId, message),
    replaced: () => this.#outlet.end(moved()),
  };
  readonly #outlet: LineOutlet;
  readonly #unacknowledged = new Map<string, Timer>();
  /** What came before the worker was told that it is registered. */
  #early: (() => void)[] = [];
  #line: StreamLine | undefined;

  constructor(outlet: LineOutlet) {
    this.#outlet = outlet;
  }

  opened(line: StreamLine): void {
    this.#line = line;
    for (const send of this.#early.splice(0)) send();
  }

  closed(): void {
    for (const timer of this.#unacknowledged.values()) timer.cancel();
    this.#unacknowledged.clear();
  }

  received(message: Uint8Array): void {
    const line = this.#line;
    if (line !== undefined) this.#take(fromBinary(WorkerMessageSchema, message), line);
  }

  #take({ payload }: WorkerMessage, line: StreamLine): void {
    switch (payload.case) {
      case 'heartbeat':
        this.#inBackground(this.#heartbeat(payload.value, line));
        return;
      case 'jobAck':
        this.#acknowledged(payload.value.jobId);
        this.#inBackground(line.heard());
        return;
      case 'stepCompleted': {
        const { jobId, stepId, output, durationMs } = payload.value;
        const step = { id: stepId, status: 'completed', output: output ?? null, ...spanOf(durationMs, this.#now()) };
        this.#step(jobId, stepId, { ...fenceOf(payload.value), status: 'progress', steps: [step] }, line);
        return;
      }
      case 'stepFailed': {
        const { jobId, stepId, error, durationMs } = payload.value;
        const step = { id: stepId, status: 'failed', error: failureOf(error), ...spanOf(durationMs, this.#now()) };
        this.#step(jobId, stepId, { ...fenceOf(payload.value), status: 'progress', steps: [step] }, line);
        return;
      }
      case 'stepYielded':
        this.#step(
          payload.value.jobId,
          payload.value.stepId,
          { ...fenceOf(payload.value), status: 'yielded', yield: yieldOf(payload.value, this.#now()) },
          line,
        );
        return;
      case 'jobCompleted': {
        const { jobId, output } = payload.value;
        this.#end(jobId, { ...fenceOf(payload.value), status: 'completed', output: output ?? null }, line);
        return;
      }
      case 'jobFailed': {
        const { jobId, error, steps } = payload.value;
        const report = { status: 'failed', error: failureOf(error), steps: steps.map((step) => this.#executed(step)) };
        this.#end(jobId, { ...fenceOf(payload.value), ...report }, line);
        return;
      }
      case 'register':
        throw new ValidationError('This worker is registered already. Open another stream to register it anew.');
      default:
        this.#inBackground(line.heard()); // a step began, or what a later release says
    }
  }

  // ── to the worker ──

  #assign(assignment: Assignment): void {
    const { jobId } = assignment;
    this.#whenOpen(() => {
      this.#unacknowledged.set(
        jobId,
        this.#outlet.engine.clock.setTimer(this.#outlet.engine.acknowledgeMs, () => {
          this.#unacknowledged.delete(jobId);
          this.#outlet.engine.logger.warn('a worker did not acknowledge a job; it goes to others', {
            workerId: this.#outlet.workerId,
            jobId,
          });
          this.#line?.setFull(true);
          if (this.#line !== undefined) this.#inBackground(this.#line.returned(jobId));
        }),
      );
      this.#send('job', jobToProto(assignment));
    });
  }

  #cancel(jobId: string, reason: string): void {
    this.#acknowledged(jobId);
    this.#whenOpen(() => this.#send('cancel', { $typeName: 'ironflow.v1.CancelJob', jobId, reason }));
  }

  #whenOpen(send: () => void): void {
    if (this.#line === undefined) this.#early.push(send);
    else send();
  }

  #send(name: NonNullable<EngineMessage['payload']['case']>, value: Sent): void {
    const payload = { case: name, value } as EngineMessage['payload']; // one of its cases, by the callers
    this.#outlet.send(enveloped(toBinary(EngineMessageSchema, create(EngineMessageSchema, { payload }))));
  }

  // ── from the worker ──

  async #heartbeat({ jobs }: WorkerHeartbeat, line: StreamLine): Promise<void> {
    const held = jobs.map(({ jobId }) => jobId);
    line.setFull(false);
    // What is not acknowledged is not in a heartbeat, and not lost.
    const lost = await line.present([...held, ...this.#unacknowledged.keys()], undefined);
    if (lost === undefined) {
      this.#outlet.end(notRegistered());
      return;
    }
    for (const jobId of lost) this.#cancel(jobId, 'The lease of this job has ended.');
    const fenced = jobs.filter(({ runId }) => runId !== '');
    if (fenced.length === 0) return;
    this.#send('leaseRefresh', {
      $typeName: 'ironflow.v1.LeaseRefreshResult',
      segments: fenced.map(({ jobId, runId, executionSeq }) => ({
        $typeName: 'ironflow.v1.SegmentLeaseStatus',
        ...{ runId, executionSeq },
        state: lost.includes(jobId) ? LeaseState.STALE : LeaseState.REFRESHED,
      })),
    });
  }

  /** What a worker says of one step; it is told whether that was stored. */
  #step(jobId: string, stepId: string, said: Readonly<Record<string, unknown>>, line: StreamLine): void {
    const answer = (error: string) =>
      this.#send('stepAck', { $typeName: 'ironflow.v1.StepAck', stepId, accepted: error === '', error });
    this.#report(jobId, said, line).then(
      (refusal) => {
        answer(refusal ?? '');
        if (refusal !== undefined) this.#cancel(jobId, refusal);
      },
      (error: unknown) => answer(this.#public(error).message),
    );
  }

  /** The last word on a job. What cannot be stored fails it: its worker has forgotten it, and would only do the same again. */
  #end(jobId: string, said: Readonly<Record<string, unknown>>, line: StreamLine): void {
    this.#acknowledged(jobId);
    line.setFull(false);
    this.#report(jobId, said, line)
      .catch((error: unknown) => {
        const { name, code, message, retryable, details } = this.#public(error);
        if (retryable) throw error;
        const failure = {
          name,
          code,
          message: `What the worker reported cannot be stored. ${message}`,
          retryable,
          details,
        };
        return this.#report(jobId, { ...said, status: 'failed', output: undefined, steps: [], error: failure }, line);
      })
      .then(
        (refusal) => refusal === undefined || this.#cancel(jobId, refusal),
        (error: unknown) => this.#public(error), // logged; its lease ends in time
      );
  }

  /** @returns why it was refused. @throws {ValidationError} or {LimitError} when it cannot be stored. */
  async #report(jobId: string, said: Readonly<Record<string, unknown>>, line: StreamLine): Promise<string | undefined> {
    const job = parseJobId(jobId);
    if (job === undefined) throw new ValidationError(`"${jobId}" is not the id of a job.`);
    const report: Report = contractReportFromJson(said, jobId, job.fence);
    await line.heard();
    const answer = await line.report(report);
    return answer.status === 'refused' ? answer.message : undefined;
  }

  #executed({ id, name, type, status, output, error, durationMs }: ExecutedStep): Readonly<Record<string, unknown>> {
    const failed = status === 'failed';
    return {
      ...{ id, name, type, status: failed ? 'failed' : 'completed', ...spanOf(durationMs, this.#now()) },
      ...(failed ? { error: failureOf(error) } : { output: output ?? null }),
    };
  }

  #acknowledged(jobId: string): void {
    this.#unacknowledged.get(jobId)?.cancel();
    this.#unacknowledged.delete(jobId);
  }

  #now(): number {
    return this.#outlet.engine.clock.now();
  }

  #public(error: unknown): IronflowError {
    return publicError(error, this.#outlet.engine.logger, { workerId: this.#outlet.workerId });
  }

  #inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#outlet.end(this.#public(error)));
  }
}

/** Fields of a report as they are in JSON; zeros of protobuf stand for what was not said. */
function fenceOf({ executionSeq, leaseToken }: { readonly executionSeq: bigint; readonly leaseToken: string }) {
  return { ...(executionSeq !== 0n && { execution_seq: Number(executionSeq) }), lease_token: leaseToken };
}

function failureOf(error: { message: string; code: string; retryable: boolean } | undefined) {
  if (error === undefined) return null;
  const { message, code, retryable } = error;
  return { message, retryable, ...(code !== '' && { code }) };
}

function spanOf(durationMs: number, now: number) {
  return { started_at: now - durationMs, ended_at: now };
}

function yieldOf({ stepId, yieldInfo }: StepYielded, now: number): Readonly<Record<string, unknown>> {
  if (yieldInfo.case === 'sleep') {
    const { until } = yieldInfo.value;
    return { type: 'sleep', step_id: stepId, until: until === undefined ? 0 : timestampDate(until).getTime() };
  }
  if (yieldInfo.case !== 'waitEvent') throw new ValidationError('A step yields, but does not say what it waits for.');
  const { eventName, matchExpression, timeout } = yieldInfo.value;
  return {
    type: 'wait_for_event',
    step_id: stepId,
    event_filter: {
      event: eventName,
      match: matchExpression,
      ...(timeout && { timeout: Math.max(1, timestampDate(timeout).getTime() - now) }),
    },
  };
}

function jobToProto(assignment: Assignment): JobAssignment {
  const { event } = assignment;
  const metadata = event.metadata === undefined ? undefined : struct(event.metadata);
  return create(JobAssignmentSchema, {
    jobId: assignment.jobId,
    runId: assignment.runId,
    functionId: assignment.functionId,
    attempt: assignment.attempt,
    executionSeq: BigInt(assignment.fence),
    leaseToken: assignment.leaseToken,
    event: {
      ...{ id: event.id, name: event.name, version: event.version, source: event.source ?? '' },
      data: struct(event.data),
      timestamp: timestampFromMs(event.timestamp),
      ...(metadata && { metadata }),
    },
    completedSteps: assignment.memo
      .filter(({ status }) => status === 'completed')
      .map(({ stepId, name, output }) => ({ stepId, name, output: output === undefined ? {} : struct(output) })),
    context: { secrets: { ...assignment.secrets } },
  });
}

/** The contract's messages hold objects only; anything else goes as the one field of one. */
function struct(payload: Payload): JsonObject {
  const value: Json = payloadValue(payload);
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return { ...value } as JsonObject;
  return value === null ? {} : { value: value as JsonValue };
}
