// Client: calls an engine from anywhere.

import {
  attributeFilter,
  checkedBy,
  type EventDefinition,
  encodeJson,
  eventNameOf,
  type InputOf,
  IronflowError,
  RunCancelledError,
  RunFailedError,
  ValidationError,
} from '@ironflow/core';
import { serverUrlFrom, variable } from '../environment.ts';
import { systemTurns } from '../turns.ts';
import { HttpCaller } from './http-call.ts';
import type {
  AuditPage,
  AuditTrailOptions,
  BulkAction,
  BulkOptions,
  BulkProgress,
  EmitOptions,
  EmitResult,
  EmitSyncOptions,
  FunctionInfo,
  IronflowClientConfig,
  ListRunsOptions,
  PublishOptions,
  PublishResult,
  RegisterFunctionRequest,
  Run,
  RunAttempt,
  RunDetail,
  RunError,
  RunFilter,
  RunPage,
  RunStep,
  StepDecision,
  SyncResult,
  TopicInfo,
  TopicStats,
  WorkerInfo,
} from './types.ts';

export type * from './types.ts';

/** How long `emitSync` waits when not told, in milliseconds. */
const SYNC_TIMEOUT_MS = 30_000;

/**
 * Makes a client. A call that only reads is tried again when the connection breaks; one that changes something is made once,
 * unless it carries an idempotency key.
 * @example
 * const client = createClient();
 * const { runIds } = await client.emit('order.placed', { orderId: '123' });
 */
export function createClient(config: IronflowClientConfig = {}): IronflowClient {
  return new IronflowClient(config);
}

export class IronflowClient {
  readonly #http: HttpCaller;

  constructor(config: IronflowClientConfig) {
    const apiKey = config.apiKey || variable('IRONFLOW_API_KEY');
    const environment = config.environment ?? variable('IRONFLOW_ENV');
    this.#http = new HttpCaller({
      serverUrl: serverUrlFrom(config.serverUrl),
      timeoutMs: config.timeout ?? 30_000,
      engine: config.engine,
      headers: {
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        ...(environment !== undefined && { 'x-ironflow-environment': environment }),
      },
    });
  }

  /**
   * Emits an event. When this resolves, the event and the runs that it started are durable.
   * @param event - Its name, or what `defineEvent` made: the data is then checked by its schema, and carries its version.
   * @throws {ValidationError} when the name or an option is wrong; {SchemaValidationError} when the data does not fit.
   */
  emit<const D extends EventDefinition>(event: D, data: InputOf<D>, options?: EmitOptions): Promise<EmitResult>;
  emit(event: string, data?: unknown, options?: EmitOptions): Promise<EmitResult>;
  async emit(event: string | EventDefinition, data?: unknown, options: EmitOptions = {}): Promise<EmitResult> {
    const answer = await this.#http.call({
      method: 'POST',
      path: '/ironflow.v1.IronflowService/Trigger',
      body: { ...(await described(event, data)), ...options },
      safe: options.idempotencyKey !== undefined,
    });
    return { eventId: String(answer['eventId'] ?? ''), runIds: (answer['runIds'] ?? []) as string[] };
  }

  /** @deprecated Use `emit`. */
  trigger(eventName: string, data?: unknown, options: EmitOptions = {}): Promise<EmitResult> {
    return this.emit(eventName, data, options);
  }

  /**
   * Emits an event and waits for what the function that it starts returns.
   * @param options.timeout - How long to wait, in milliseconds. Default 30,000.
   * @throws {RunFailedError}, {RunCancelledError}, or {IronflowError} NO_RESULTS when the event starts nothing.
   */
  emitSync<TOutput = unknown, const D extends EventDefinition = EventDefinition>(
    event: D,
    data: InputOf<D>,
    options?: EmitSyncOptions,
  ): Promise<SyncResult<TOutput>>;
  emitSync<TOutput = unknown>(event: string, data?: unknown, options?: EmitSyncOptions): Promise<SyncResult<TOutput>>;
  async emitSync<TOutput = unknown>(
    event: string | EventDefinition,
    data?: unknown,
    options: EmitSyncOptions = {},
  ): Promise<SyncResult<TOutput>> {
    const { timeout = SYNC_TIMEOUT_MS, ...rest } = options;
    const answer = await this.#http.call({
      method: 'POST',
      path: '/ironflow.v1.IronflowService/TriggerSync',
      body: { ...(await described(event, data)), timeout_ms: timeout, ...rest },
      safe: options.idempotencyKey !== undefined,
      timeoutMs: timeout + 5_000,
    });
    const [result] = (answer['results'] ?? []) as {
      runId: string;
      functionId: string;
      status: string;
      output?: unknown;
      error?: RunError;
      durationMs: number;
    }[];
    if (result === undefined) {
      throw new IronflowError(`Event "${eventNameOf(event)}" started no function. Register one that it triggers.`, {
        code: 'NO_RESULTS',
      });
    }
    const { runId, error } = result;
    if (result.status === 'failed')
      throw new RunFailedError(error?.message ?? 'The run failed.', { runId, details: { ...error } });
    if (result.status === 'cancelled')
      throw new RunCancelledError(error?.message ?? 'The run was cancelled.', { runId });
    return {
      runId,
      functionId: result.functionId,
      status: result.status,
      output: result.output as TOutput,
      durationMs: Number(result.durationMs),
    };
  }

  /**
   * Publishes a message to a topic. Unlike an event it starts no functions. When this resolves, the message is durable.
   * @throws {ValidationError} when the topic is no exact name.
   */
  async publish(topic: string, data?: unknown, options: PublishOptions = {}): Promise<PublishResult> {
    const answer = await this.#http.call({
      method: 'POST',
      path: '/ironflow.v1.PubSubService/Publish',
      body: { topic, data: data ?? {}, ...options },
      safe: options.idempotencyKey !== undefined,
    });
    return { eventId: String(answer['eventId'] ?? ''), sequence: Number(answer['sequence'] ?? 0) };
  }

  /** Topics that something was published to, by name. */
  async listTopics(): Promise<TopicInfo[]> {
    const { topics } = await this.#http.call({
      method: 'POST',
      path: '/ironflow.v1.PubSubService/ListTopics',
      body: {},
      safe: true,
    });
    const counted = (topics ?? []) as TopicInfo[];
    // Other servers of the contract send counts as text.
    return counted.map((topic) => ({
      ...topic,
      messageCount: Number(topic.messageCount ?? 0),
      consumerCount: Number(topic.consumerCount ?? 0),
    }));
  }

  async getTopicStats(topic: string): Promise<TopicStats> {
    const told = await this.#http.call({
      method: 'POST',
      path: '/ironflow.v1.PubSubService/GetTopicStats',
      body: { topic },
      safe: true,
    });
    const count = (name: string) => Number(told[name] ?? 0);
    return {
      name: String(told['name'] ?? topic),
      messageCount: count('messageCount'),
      consumerCount: count('consumerCount'),
      lag: count('lag'),
      firstSeq: count('firstSeq'),
      lastSeq: count('lastSeq'),
    };
  }

  /**
   * A run, and in `why` what it is at or waits for.
   * @param options.steps - Also its steps with their attempts, and its open waits. Default false.
   * @throws {RunNotFoundError}
   * @example console.log((await client.getRun(runId)).why); // It sleeps until 2026-01-31T12:00:00.000Z (step "nap").
   */
  getRun(runId: string, options: { readonly steps: true }): Promise<RunDetail>;
  getRun(runId: string, options?: { readonly steps?: boolean | undefined }): Promise<Run>;
  async getRun(runId: string, { steps = false }: { readonly steps?: boolean | undefined } = {}): Promise<Run> {
    if (!steps) return (await this.#rpc('GetRun', { id: named(runId, 'run') })) as unknown as Run;
    const path = `${runPath(runId)}?include=steps`;
    return (await this.#http.call({ method: 'GET', path, safe: true })) as unknown as RunDetail;
  }

  /** The steps of a run in their order, with their attempts; and the attempts of the run as a whole. @throws {RunNotFoundError} */
  async getRunSteps(runId: string): Promise<{ readonly steps: RunStep[]; readonly attempts: RunAttempt[] }> {
    const answer = await this.#http.call({
      method: 'GET',
      path: `${runPath(runId)}/steps`,
      safe: true,
    });
    return answer as unknown as { steps: RunStep[]; attempts: RunAttempt[] };
  }

  /**
   * The run once it has ended, or as it is after `timeout` milliseconds (default 30,000).
   * @throws {RunNotFoundError}
   */
  async waitForRun(runId: string, options: { readonly timeout?: number | undefined } = {}): Promise<Run> {
    const endAt = systemTurns.elapsed() + (options.timeout ?? SYNC_TIMEOUT_MS);
    for (;;) {
      const leftMs = Math.ceil(Math.max(0, Math.min(endAt - systemTurns.elapsed(), 50_000)));
      const path = `${runPath(runId)}/result?timeout_ms=${leftMs}`;
      const run = (await this.#http.call({
        method: 'GET',
        path,
        safe: true,
        timeoutMs: leftMs + 10_000,
      })) as unknown as Run;
      if (run.endedAt !== undefined || systemTurns.elapsed() >= endAt) return run;
    }
  }

  /** Runs, newest first. */
  async listRuns(options: ListRunsOptions = {}): Promise<RunPage> {
    const {
      runs = [],
      nextCursor,
      totalCount = 0,
    } = (await this.#rpc('ListRuns', sentFilter(options))) as unknown as Partial<RunPage>;
    return { runs, totalCount, ...(nextCursor !== undefined && { nextCursor }) };
  }

  /**
   * Cancels a run that has not ended; one that has stays as it is.
   * @param options - `compensate`: what the run has registered with `step.compensate` is undone first, the last first. The answer
   * is then the run as it is while that goes on (`ending` is set); `waitForRun` has its end.
   * @throws {RunNotFoundError}
   */
  async cancelRun(
    runId: string,
    reason = '',
    options: { readonly compensate?: boolean | undefined } = {},
  ): Promise<Run> {
    return (await this.#rpc('CancelRun', { id: named(runId, 'run'), reason, ...options })) as unknown as Run;
  }

  /**
   * Pauses a run that has not ended: no worker gets it before `resumeRun`. Events and times that it waits for are met meanwhile. While a
   * worker is at it, what runs is finished first; until then `pauseRequested` is true.
   * @throws {RunStateError} when it has ended; {RunNotFoundError}
   */
  async pauseRun(runId: string, reason = ''): Promise<Run> {
    return this.#post(`${runPath(runId)}/pause`, { reason }, true);
  }

  /**
   * Lets a run go on that is paused, or has failed.
   * @param fromStep - Id or name of a step: it and all that came after it are forgotten, and run again.
   * @throws {RunStateError} in any other status; {StepNotFoundError}; {RunNotFoundError}
   */
  async resumeRun(runId: string, fromStep?: string, reason = ''): Promise<Run> {
    return this.#post(`${runPath(runId)}/resume`, { from_step: fromStep, reason });
  }

  /**
   * Lets a run that has failed go on: from the step that failed it, or from `fromStep`, as `resumeRun` does. It gets as many attempts as
   * it had at first.
   * @throws {RunStateError} in any other status; {StepNotFoundError}; {RunNotFoundError}
   */
  async retryRun(runId: string, fromStep?: string, reason = ''): Promise<Run> {
    return this.#post(`${runPath(runId)}/retry`, { from_step: fromStep, reason });
  }

  /**
   * Starts another run of the same function for the same event, in its newest version.
   * @param options.input - Takes the place of the event's data.
   * @throws {FunctionNotFoundError}; {RunNotFoundError}
   */
  async rerunRun(
    runId: string,
    options: { readonly input?: unknown; readonly reason?: string | undefined } = {},
  ): Promise<Run> {
    return this.#post(`${runPath(runId)}/rerun`, options);
  }

  /**
   * Replaces the output of a recorded step; one that had failed has completed from then on. The run sees it when it goes on.
   * @param stepId - The `id` that `getRunSteps` tells.
   * @throws {RunStateError} while a worker is at the run, or when the run has completed or was cancelled; {StepNotFoundError}
   */
  async patchStep(stepId: string, output: unknown, reason = ''): Promise<RunStep> {
    const body = { step_id: named(stepId, 'step'), output: output === undefined ? null : output, reason };
    return (await this.#http.call({
      method: 'POST',
      path: '/api/v1/steps/patch',
      body,
      safe: false,
    })) as unknown as RunStep;
  }

  /**
   * Does the same to all runs that a filter fits, page by page. Without a status in the filter: cancel and pause are for runs that have
   * not ended, resume for paused ones, retry for failed ones. Runs started meanwhile are left out. Where it breaks off, call it again.
   * @throws {ValidationError} for a filter with a field that is undefined.
   * @example
   * await client.bulkRuns('retry', { functionId: 'charge', since: new Date('2026-01-31') }, { onProgress: console.log });
   */
  async bulkRuns(action: BulkAction, filter: RunFilter, options: BulkOptions = {}): Promise<BulkProgress> {
    const { reason, onProgress, pageSize, signal } = options;
    assertGiven(filter);
    let progress: BulkProgress = { totalCount: 0, done: 0, refused: 0, refusals: [] };
    for (let cursor: string | undefined; ; ) {
      const body = { action, filter: sentFilter(filter), reason, limit: pageSize, cursor };
      const answer = (await this.#http.call({
        method: 'POST',
        path: '/api/v1/runs/bulk',
        body,
        safe: false,
      })) as unknown as BulkProgress & { readonly nextCursor?: string };
      progress = {
        totalCount: answer.totalCount ?? progress.totalCount,
        done: progress.done + answer.done,
        refused: progress.refused + answer.refused,
        refusals: [...progress.refusals, ...answer.refusals].slice(0, 100),
      };
      onProgress?.(progress);
      cursor = answer.nextCursor;
      if (cursor === undefined || signal?.aborted === true) return progress;
    }
  }

  /** What was done to a run, by whom and why, oldest first. Without a run: to all runs of the environment. */
  async getAuditTrail(runId?: string, options: AuditTrailOptions = {}): Promise<AuditPage> {
    const { since, until, ...rest } = withTimes(options);
    const query = { ...rest, ...(runId !== undefined && { runId }), fromTimestamp: since, toTimestamp: until };
    const { entries, nextCursor, totalCount } = (await this.#http.call({
      method: 'POST',
      path: '/ironflow.v1.AuditService/GetAuditTrail',
      body: query,
      safe: true,
    })) as unknown as AuditPage;
    return { entries, totalCount, ...(nextCursor !== undefined && { nextCursor }) };
  }

  /**
   * Decides how a step ended that must not run twice (`effect: 'once'`), when nobody knows: its status is `undecided`.
   * @param decision - The step's `output`; or an `error`, with which it failed for good; or `again`, to run it once more.
   * @param options - `reason`: kept in the audit trail.
   * @throws {IronflowError} CONFLICT when nothing is to be decided there; {RunNotFoundError}
   */
  async decideStep(
    runId: string,
    stepId: string,
    decision: StepDecision,
    { reason }: { readonly reason?: string | undefined } = {},
  ): Promise<Run> {
    return (await this.#http.call({
      method: 'POST',
      path: `/api/v1/runs/${encodeURIComponent(runId)}/decide`,
      body: { step_id: stepId, reason, ...('output' in decision ? { output: decision.output ?? null } : decision) },
      safe: false,
    })) as unknown as Run;
  }

  async listFunctions(): Promise<FunctionInfo[]> {
    const { functions } = await this.#http.call({ method: 'GET', path: '/api/v1/functions', safe: true });
    return (functions ?? []) as FunctionInfo[];
  }

  async listWorkers(): Promise<WorkerInfo[]> {
    const { workers } = await this.#http.call({ method: 'GET', path: '/api/v1/workers', safe: true });
    return (workers ?? []) as WorkerInfo[];
  }

  /**
   * Registers a function, above all one that is served at an endpoint.
   * @returns whether the id is new.
   */
  async registerFunction(request: RegisterFunctionRequest): Promise<{ readonly created: boolean }> {
    const { created } = await this.#rpc('RegisterFunction', request);
    return { created: created === true };
  }

  /** `ok` when the engine answers. */
  async health(): Promise<string> {
    return String((await this.#rpc('Health', {}))['status']);
  }

  /** A call that may be made twice: it reads, or sets what is set already. */
  #rpc(method: string, body: unknown): Promise<Readonly<Record<string, unknown>>> {
    return this.#http.call({ method: 'POST', path: `/ironflow.v1.IronflowService/${method}`, body, safe: true });
  }

  async #post(path: string, body: unknown, safe = false): Promise<Run> {
    return (await this.#http.call({ method: 'POST', path, body, safe })) as unknown as Run;
  }
}

const runPath = (runId: string) => `/api/v1/runs/${encodeURIComponent(named(runId, 'run'))}`;

/** An id that can be asked for. */
function named(id: string, what: 'run' | 'step'): string {
  if (typeof id === 'string' && id !== '') return id;
  throw new ValidationError(`The ${what} id is ${id === '' ? 'empty' : String(id)}. Pass the id of a ${what}.`, {
    validationErrors: [{ path: `${what}Id`, message: 'must be text, and not empty' }],
  });
}

/** @throws {ValidationError} for a field that is there and has no value: left out, it would widen what is done to all runs that fit. */
function assertGiven(filter: RunFilter): void {
  for (const [path, value] of Object.entries(filter)) {
    if (value !== undefined) continue;
    throw new ValidationError(
      `The filter's ${path} is undefined. Give it a value, or leave the field out if runs with any ${path} are meant.`,
      { validationErrors: [{ path, message: 'must have a value' }] },
    );
  }
}

/** A filter as it is sent. An attribute without a value is refused: left out, it would widen what a bulk operation is about. */
function sentFilter<T extends RunFilter>(filter: T) {
  const { attributes, ...rest } = withTimes(filter);
  return { ...rest, ...(attributes !== undefined && { attributes: attributeFilter(attributes) }) };
}

/** Times as they are sent. */
function withTimes<T extends Pick<RunFilter, 'since' | 'until'>>(
  options: T,
): Omit<T, 'since' | 'until'> & { readonly since?: string | number; readonly until?: string | number } {
  const { since, until, ...rest } = options;
  const sent = (time: Date | string | number) => {
    if (!(time instanceof Date)) return time;
    if (!Number.isNaN(time.getTime())) return time.toISOString();
    throw new ValidationError('A time to list by is an invalid Date.', {
      validationErrors: [{ path: 'since', message: 'is an invalid Date' }],
    });
  };
  return {
    ...rest,
    ...(since !== undefined && { since: sent(since) }),
    ...(until !== undefined && { until: sent(until) }),
  };
}

/** An event as it is sent. Its schema sees what a function would: the data as JSON. */
async function described(
  event: string | EventDefinition,
  data: unknown,
): Promise<{ readonly event: string; readonly data: unknown; readonly version?: number }> {
  if (typeof event === 'string') return { event, data };
  const { name, version, schema } = event;
  if (schema !== undefined) {
    const sent: unknown = JSON.parse(encodeJson(data ?? {}, `data of event "${name}"`));
    await checkedBy(schema, sent, `event "${name}", version ${version}`);
  }
  return { event: name, data, version };
}
