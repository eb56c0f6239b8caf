// For tests: the published SDK's streaming worker (protocol, section 6), as far as the wire shows it: the Connect library, the
// contract's messages, and its quirks.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import {
  type EngineMessage,
  type JobAssignment,
  type WorkerMessage,
  WorkerMessageSchema,
  WorkerService,
} from '@ironflow/core/proto';
import { onTestFinished } from 'vitest';
import { eventually } from '../../test-support/eventually.ts';
import type { ContractEngine } from './published-sdk.ts';

type Heard<C> = Extract<EngineMessage['payload'], { readonly case: C }>['value'];
type Said = NonNullable<MessageInitShape<typeof WorkerMessageSchema>['payload']>;

export interface StreamingWorkerOptions {
  readonly id?: string;
  readonly maxJobs?: number;
  readonly apiKey?: string;
  /** Drops jobs without a word, as the published worker does when it is full. */
  readonly deaf?: boolean;
}

let workersMade = 0;

export class PublishedStreamingWorker {
  readonly id: string;
  readonly jobs: JobAssignment[] = [];
  readonly heard: EngineMessage['payload'][] = [];
  /** How the stream ended: undefined while it is open, `null` for a clean end. */
  ended: { readonly error: unknown } | undefined;
  readonly #outbox: WorkerMessage[] = [];
  readonly #aborted = new AbortController();
  #wake: () => void = () => {};

  constructor(engine: ContractEngine, functionIds: readonly string[], options: StreamingWorkerOptions = {}) {
    const { maxJobs = 10, apiKey, deaf = false } = options;
    this.id = options.id ?? `streamer-${++workersMade}`;
    const client = createClient(WorkerService, createConnectTransport({ baseUrl: engine.url, httpVersion: '2' }));
    const call: CallOptions = {
      signal: this.#aborted.signal,
      ...(apiKey !== undefined && { headers: { authorization: `Bearer ${apiKey}` } }),
    };
    onTestFinished(() => this.disconnect());
    this.say({
      case: 'register',
      value: {
        workerId: this.id,
        hostname: 'host',
        functionIds: [...functionIds],
        maxConcurrentJobs: maxJobs,
        labels: { region: 'eu' },
        version: { sdk: '0.8.0', runtime: 'node' },
      },
    });
    void this.#listen(client.connect(this.#outgoing(), call), deaf);
  }

  /** Registers its functions as a REST worker or a client would have, and connects. */
  static async start(
    engine: ContractEngine,
    functions: Readonly<Record<string, string>>,
    options?: StreamingWorkerOptions,
  ): Promise<PublishedStreamingWorker> {
    for (const [id, event] of Object.entries(functions))
      await engine.registerFunction({ id, triggers: [{ event }], preferredMode: 'EXECUTION_MODE_PULL' });
    const worker = new PublishedStreamingWorker(engine, Object.keys(functions), options);
    await worker.hears('registered');
    return worker;
  }

  say(payload: Said): void {
    this.#outbox.push(create(WorkerMessageSchema, { payload }));
    this.#wake();
  }

  /** The first message of this kind, once it is there. */
  async hears<C extends NonNullable<EngineMessage['payload']['case']>>(kind: C, nth = 1): Promise<Heard<C>> {
    const all = () => this.heard.filter((payload) => payload.case === kind);
    await eventually(
      () => all().length,
      (count) => count >= nth,
    );
    return all()[nth - 1]?.value as Heard<C>; // of this case
  }

  job(nth = 1): Promise<JobAssignment> {
    return this.hears('job', nth);
  }

  completed(job: JobAssignment, output: Readonly<Record<string, unknown>> = {}): void {
    this.say({
      case: 'jobCompleted',
      value: { ...lease(job), output: output as never, durationMs: 5 }, // an object of JSON
    });
  }

  failed(job: JobAssignment, message: string, retryable: boolean, steps: readonly object[] = []): void {
    const error = { message, code: 'STEP_FAILED', retryable };
    this.say({ case: 'jobFailed', value: { ...lease(job), error, durationMs: 5, steps: steps as never } });
  }

  heartbeat(jobs: readonly JobAssignment[], withFence = false): void {
    this.say({
      case: 'heartbeat',
      value: {
        workerId: this.id,
        activeJobs: jobs.length,
        jobs: jobs.map((job) => (withFence ? lease(job) : { jobId: job.jobId })),
      },
    });
  }

  disconnect(): void {
    this.#aborted.abort();
  }

  async #listen(messages: AsyncIterable<EngineMessage>, deaf: boolean): Promise<void> {
    try {
      for await (const { payload } of messages) {
        this.heard.push(payload);
        if (payload.case !== 'job' || deaf) continue;
        this.jobs.push(payload.value);
        const { jobId, executionSeq, leaseToken } = payload.value;
        this.say({ case: 'jobAck', value: { jobId, executionSeq, leaseToken } });
      }
      this.ended = { error: null };
    } catch (error) {
      this.ended = { error };
    }
  }

  async *#outgoing(): AsyncIterable<WorkerMessage> {
    for (;;) {
      for (let next = this.#outbox.shift(); next !== undefined; next = this.#outbox.shift()) yield next;
      if (this.#aborted.signal.aborted) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#aborted.signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}

export const lease = ({ jobId, runId, executionSeq, leaseToken }: JobAssignment) => ({
  jobId,
  runId,
  executionSeq,
  leaseToken,
});
