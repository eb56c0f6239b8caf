// For tests: the published SDK's side of the wire, written from the contract document alone (protocol/ironflow-wire.md; the
// numbers below are its sections). It uses HTTP and nothing that is shipped of this project but `createEngine`, so what passes here would
// pass with an application that has never heard of us. What the SDK drops silently, this helper throws for.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { type CreateEngineOptions, createEngine } from '../../main.ts';
import { eventually, inTime } from '../../test-support/eventually.ts';

// ── the engine, from outside ──

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  /** The body as JSON; undefined when it is empty. */
  readonly body: unknown;
}

/** A run as the node SDK reads it (3.1), with the presence rules of the browser SDK's parser (2.3). */
const runSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  functionId: z.string(),
  eventId: z.string(),
  status: z.enum([
    'pending',
    'running',
    'completed',
    'failed',
    'cancelled',
    'paused',
    'waiting',
    'waiting_for_capacity',
  ]),
  attempt: z.number(),
  maxAttempts: z.number(),
  input: z.unknown().optional(),
  output: z.unknown().optional(),
  error: z.object({ message: z.string(), code: z.string(), retryable: z.boolean().optional() }).optional(),
  startedAt: z.iso.datetime().optional(),
  endedAt: z.iso.datetime().optional(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Run = z.output<typeof runSchema>;

const triggered = z.object({ eventId: z.string(), runIds: z.array(z.string()).default([]) });
const registered = z.object({
  created: z.boolean(),
  function: z.object({ id: z.string(), version: z.number(), preferredMode: z.string() }),
});
const runList = z.object({ runs: z.array(runSchema), nextCursor: z.string().optional(), totalCount: z.number() });
const stepList = z.object({
  steps: z.array(
    z.object({ stepId: z.string(), name: z.string(), status: z.string(), output: z.unknown().optional() }),
  ),
});

export class ContractEngine {
  readonly url: string;
  readonly close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.close = close;
  }

  /** A real engine on a free port; closed when the test ends. */
  static async open(options: CreateEngineOptions = {}): Promise<ContractEngine> {
    const engine = await createEngine({ store: 'memory', pollMs: 50, ...options });
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= engine.close();
      return closing;
    };
    onTestFinished(close);
    const { port } = await engine.listen({ port: 0 });
    return new ContractEngine(`http://127.0.0.1:${port}`, close);
  }

  /** Any request. A body that is no text is sent as JSON, as all of the SDK's are. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
  ): Promise<Reply> {
    const response = await fetch(this.url + path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    const text = await response.text();
    return {
      status: response.status,
      text,
      headers: response.headers,
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
    };
  }

  /** A Connect call of IronflowService (2.1), whatever its answer. */
  rpc(method: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    return this.call('POST', `/ironflow.v1.IronflowService/${method}`, body, headers);
  }

  async #rpc<T extends z.ZodType>(
    schema: T,
    method: string,
    body: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<z.output<T>> {
    const reply = await this.rpc(method, body, headers);
    if (reply.status !== 200) throw new Error(`${method} answered ${reply.status}: ${reply.text}`);
    return schema.parse(reply.body);
  }

  registerFunction(registration: Readonly<Record<string, unknown>>, headers?: Readonly<Record<string, string>>) {
    return this.#rpc(registered, 'RegisterFunction', registration, headers);
  }

  /** `client.emit` (3.1). */
  emit(
    event: string,
    data: unknown = {},
    more: Readonly<Record<string, unknown>> = {},
    headers?: Readonly<Record<string, string>>,
  ) {
    return this.#rpc(triggered, 'Trigger', { event, data, ...more }, headers);
  }

  /** Emits an event that starts exactly one run, and gives its id. */
  async start(event: string, data: unknown = {}): Promise<string> {
    const { runIds } = await this.emit(event, data);
    const [runId] = runIds;
    if (runId === undefined || runIds.length > 1) throw new Error(`${event} started ${runIds.length} runs`);
    return runId;
  }

  run(id: string, headers?: Readonly<Record<string, string>>): Promise<Run> {
    return this.#rpc(runSchema, 'GetRun', { id }, headers);
  }

  runs(filters: Readonly<Record<string, unknown>> = {}, headers?: Readonly<Record<string, string>>) {
    return this.#rpc(runList, 'ListRuns', filters, headers);
  }

  cancel(id: string, reason = ''): Promise<Run> {
    return this.#rpc(runSchema, 'CancelRun', { id, reason });
  }

  async steps(runId: string) {
    return (await this.#rpc(stepList, 'GetRunSteps', { run_id: runId })).steps;
  }

  /** The run once it has this status. */
  until(id: string, status: Run['status']): Promise<Run> {
    return eventually(
      () => this.run(id),
      (run) => run.status === status,
    );
  }
}

// ── the REST worker (5) ──

/**
 * What the worker's parser takes of an assignment (2.3): the fields that may not be null are optional here, not nullable.
 * (A key of unknown value must be there.)
 */
const assignmentSchema = z.object({
  job_id: z.string().regex(/^[\w.~-]+$/, 'goes unescaped into a path'),
  run_id: z.string(),
  function_id: z.string(),
  attempt: z.number(),
  event: z.object({
    id: z.string(),
    name: z.string(),
    data: z.unknown(),
    timestamp: z.string(),
    version: z.number().int().min(1).optional(),
    metadata: z.record(z.string(), z.unknown()).nullish(),
  }),
  completed_steps: z.array(z.object({ step_id: z.string(), name: z.string(), output: z.unknown() })),
  step_sequence_base: z.number().default(0),
  actor_id: z.string().optional(),
  context: z
    .object({
      trace_id: z.string().optional(),
      metadata: z.record(z.string(), z.unknown()).optional(),
      secrets: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  execution_seq: z.number().optional(),
  lease_token: z.string().optional(),
});
export type Assignment = z.output<typeof assignmentSchema>;

export interface Step {
  readonly id: string;
  readonly name: string;
  readonly type: 'invoke' | 'compensate';
  readonly status: 'completed' | 'failed';
  readonly output?: unknown;
  readonly [field: string]: unknown;
}

/** A step as it is reported (5.5). */
export function step(runId: string, name: string, output?: unknown, counter = 0): Step {
  const at = new Date().toISOString();
  return {
    id: `${runId}:${name}:${counter}`,
    name,
    type: 'invoke',
    status: 'completed',
    started_at: at,
    ended_at: at,
    duration_ms: 0,
    ...(output !== undefined && { output }),
  };
}

export function failedStep(runId: string, name: string, message: string, retryable = false): Step {
  return {
    ...step(runId, name),
    status: 'failed',
    error: { message, retryable, stack: `Error: ${message}\n    at x` },
  };
}

export const sleepYield = (stepId: string, until: Date) => ({
  step_id: stepId,
  type: 'sleep',
  until: until.toISOString(),
});

export const waitYield = (stepId: string, event: string, match?: string, timeout = '7d') => ({
  step_id: stepId,
  type: 'wait_for_event',
  event_filter: { event, ...(match !== undefined && { match }), timeout },
});

export const invokeYield = (stepId: string, functionId: string, input?: unknown, timeoutMs = 30_000) => ({
  step_id: stepId,
  type: 'invoke_function',
  function_id: functionId,
  ...(input !== undefined && { input }),
  invoke_timeout_ms: timeoutMs,
});

export const invokeAsyncYield = (stepId: string, functionId: string, input?: unknown) => ({
  step_id: stepId,
  type: 'invoke_function_async',
  function_id: functionId,
  ...(input !== undefined && { input }),
});

/** A registration as the REST worker sends it (4). */
export function pullFunction(id: string, event: string | undefined, more: Readonly<Record<string, unknown>> = {}) {
  return {
    id,
    name: id,
    triggers: event === undefined ? [] : [{ event }],
    preferredMode: 'EXECUTION_MODE_PULL',
    metadata: { __ironflow_code_hash: '0123456789abcdef' },
    ...more,
  };
}

let workersMade = 0;

export interface WorkerOptions {
  readonly id?: string;
  readonly maxJobs?: number;
  readonly environment?: string;
  readonly apiKey?: string;
}

export class PublishedWorker {
  readonly id: string;
  readonly #engine: ContractEngine;
  readonly #functionIds: readonly string[];
  readonly #maxJobs: number;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(
    engine: ContractEngine,
    functionIds: readonly string[],
    { id, maxJobs = 10, environment = 'default', apiKey }: WorkerOptions = {},
  ) {
    this.id = id ?? `worker-${Date.now().toString(36)}-${String(++workersMade).padStart(6, '0')}`;
    this.#engine = engine;
    this.#functionIds = functionIds;
    this.#maxJobs = maxJobs;
    this.#headers = {
      'x-ironflow-environment': environment,
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
  }

  /** Steps 1 and 2 of the worker's start (5.1). */
  static async start(
    engine: ContractEngine,
    functions: readonly ReturnType<typeof pullFunction>[],
    options: WorkerOptions = {},
  ): Promise<PublishedWorker> {
    const ids = functions.map(({ id }) => id);
    const worker = new PublishedWorker(engine, ids, options);
    for (const fn of functions) await engine.registerFunction(fn, worker.#headers);
    const { status, text } = await worker.register();
    if (status !== 200) throw new Error(`registration answered ${status}: ${text}`);
    return worker;
  }

  request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Reply> {
    return this.#engine.call(method, `/api/v1/workers/${this.id}${path}`, body, this.#headers, signal);
  }

  register(): Promise<Reply> {
    return this.request('POST', '/register', {
      worker_id: this.id,
      hostname: 'test-host',
      function_ids: this.#functionIds,
      max_concurrent_jobs: this.#maxJobs,
      labels: { zone: 'a' },
      version: { sdk: '0.29.0', runtime: 'node v22.0.0' },
    });
  }

  heartbeat(jobs: readonly Assignment[]): Promise<Reply> {
    return this.request('POST', '/heartbeat', {
      worker_id: this.id,
      active_jobs: jobs.length,
      jobs: jobs.map(({ job_id }) => ({ job_id, started_at: new Date().toISOString() })),
    });
  }

  /** One poll (5.3): the jobs of a 200, none for a 204. */
  async poll(available: number, signal?: AbortSignal): Promise<Assignment[]> {
    const reply = await this.request('GET', `/jobs?available=${available}`, undefined, signal);
    if (reply.status === 204) return [];
    if (reply.status !== 200) throw new Error(`a poll was answered ${reply.status}: ${reply.text}`);
    const jobs = z
      .object({ jobs: z.array(z.unknown()) })
      .parse(reply.body)
      .jobs.map((job) => assignmentSchema.parse(job));
    if (jobs.length > available) throw new Error(`a poll for ${available} jobs was given ${jobs.length}`);
    return jobs;
  }

  /** A poll as 0.22 and older send it, which understands a single job only. */
  async pollOld(): Promise<Assignment | undefined> {
    const reply = await this.request('GET', '/jobs');
    return reply.status === 200 ? assignmentSchema.parse(reply.body) : undefined;
  }

  /** Polls until a job comes, and acknowledges it. */
  async take(): Promise<Assignment> {
    const [job] = await eventually(
      () => this.poll(1),
      (jobs) => jobs.length > 0,
    );
    if (job === undefined) throw new Error('a job came and is gone');
    const { status, text } = await this.ack(job);
    if (status !== 200) throw new Error(`an acknowledgement was answered ${status}: ${text}`);
    return job;
  }

  ack(job: Assignment): Promise<Reply> {
    return this.request('PUT', `/jobs/${job.job_id}/ack`, { run_id: job.run_id, ...fenceOf(job) });
  }

  /** Any report (5.5), stamped with the job's fence. */
  report(job: Assignment, body: Readonly<Record<string, unknown>>): Promise<Reply> {
    return this.request('PUT', `/jobs/${job.job_id}`, { ...fenceOf(job), ...body });
  }

  progress(job: Assignment, steps: readonly Step[], flushed = 0): Promise<Reply> {
    return this.report(job, { status: 'progress', steps, step_offset: job.step_sequence_base + flushed });
  }

  completed(job: Assignment, output?: unknown, steps: readonly Step[] = [], flushed = 0): Promise<Reply> {
    return this.report(job, {
      status: 'completed',
      ...(output !== undefined && { output }),
      steps,
      step_offset: job.step_sequence_base + flushed,
    });
  }

  failed(
    job: Assignment,
    error: { readonly message: string; readonly code: string; readonly retryable: boolean },
    steps: readonly Step[] = [],
  ): Promise<Reply> {
    return this.report(job, {
      status: 'failed',
      error,
      ...(steps.length > 0 && { steps, step_offset: job.step_sequence_base }),
    });
  }

  yielded(job: Assignment, what: Readonly<Record<string, unknown>>): Promise<Reply> {
    return this.report(job, { status: 'yielded', yield: what });
  }
}

function fenceOf({ execution_seq, lease_token }: Assignment): Readonly<Record<string, unknown>> {
  return lease_token === undefined || lease_token === '' ? {} : { execution_seq, lease_token };
}

/** The memo as the SDK looks at it (8.2): step id to output. */
export function memoOf(job: Assignment): Readonly<Record<string, unknown>> {
  return Object.fromEntries(job.completed_steps.map(({ step_id, output }) => [step_id, output]));
}

// ── a push endpoint (7) ──

/** What serve() takes of an invocation (2.3, 7.2). */
const invocationSchema = z.object({
  run_id: z.string(),
  function_id: z.string(),
  attempt: z.number(),
  event: z.object({
    id: z.string(),
    name: z.string(),
    data: z.unknown(),
    timestamp: z.string(),
    version: z.number().int().min(1).optional(),
    idempotency_key: z.string().optional(),
    source: z.string().optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
  }),
  steps: z
    .array(
      z.object({
        id: z.string(),
        name: z.string(),
        status: z.enum(['completed', 'failed', 'timed_out']),
        output: z.unknown().optional(),
        error: z.string().optional(),
      }),
    )
    .nullish(),
  resume: z
    .object({
      step_id: z.string(),
      type: z.enum(['sleep', 'wait_for_event', 'invoke_function', 'invoke_function_async']),
      data: z.unknown().optional(),
    })
    .optional(),
  secrets: z.record(z.string(), z.string()).optional(),
});
export type Invocation = z.output<typeof invocationSchema>;

export interface PushCall {
  readonly invocation: Invocation;
  /** The body to the letter. */
  readonly text: string;
  readonly method: string | undefined;
  readonly headers: IncomingMessage['headers'];
  /** Answers the call; a body that is no text is sent as JSON. */
  reply(status: number, body: unknown): void;
  /** Breaks the connection without an answer. */
  break(): void;
}

/** An application behind serve(): its test takes each call and answers it. */
export class PushEndpoint {
  readonly #waiting: ((call: PushCall) => void)[] = [];
  readonly #calls: PushCall[] = [];
  readonly #openRuns = new Set<string>();
  #server: Server | undefined;
  #port = 0;
  /** Calls so far. */
  count = 0;
  /** Runs that were invoked while an invocation of theirs was open: there must be none (7.3). */
  readonly overlaps: string[] = [];

  static async open(): Promise<PushEndpoint> {
    const endpoint = new PushEndpoint();
    onTestFinished(() => endpoint.down());
    await endpoint.up();
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/api/ironflow`;
  }

  /** Listens again, at the same address. */
  async up(): Promise<void> {
    const server = createServer((request, response) => void this.#receive(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port; // a TCP server that listens
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** The next call that nobody has taken yet. */
  next(): Promise<PushCall> {
    const call = this.#calls.shift();
    if (call !== undefined) return Promise.resolve(call);
    return inTime(new Promise((resolve) => this.#waiting.push(resolve)), 'a call of the push endpoint');
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const invocation = invocationSchema.parse(JSON.parse(text));
    const { run_id } = invocation;
    this.count++;
    if (this.#openRuns.has(run_id)) this.overlaps.push(run_id);
    this.#openRuns.add(run_id);
    const done = () => this.#openRuns.delete(run_id);
    response.once('close', done);
    const call: PushCall = {
      invocation,
      text,
      method: request.method,
      headers: request.headers,
      reply: (status, body) => {
        done();
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      },
      break: () => {
        done();
        request.socket.destroy();
      },
    };
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#calls.push(call);
    else waiting(call);
  }
}

/** A registration as `client.registerFunction` sends it for a push function (4). */
export function pushFunction(
  id: string,
  event: string | undefined,
  endpointUrl: string,
  more: Readonly<Record<string, unknown>> = {},
) {
  return { id, triggers: event === undefined ? [] : [{ event }], preferredMode: 'push', endpointUrl, ...more };
}
