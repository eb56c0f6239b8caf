// Push: functions that are served by an HTTP endpoint. Each endpoint is a session of this engine, with room for so many
// requests at a time.
//
//   U1. At most one request of a run is open: it holds the run's lease.
//   U2. An endpoint that cannot be reached, or answers 429, 502, 503 or 504, costs no run an attempt: the job goes back to its
//       queue and the endpoint rests, longer each time.
//   U3. Any other answer that is not the contract's ends the run's attempt: 5xx is retried by the function's policy, the rest
//       is a mistake of set-up and fails the run with what was wrong.

import { createHmac } from 'node:crypto';
import { errorCatalogue, IronflowError, type Json, LimitError } from '@ironflow/core';
import {
  type Assignment,
  assignmentToJson,
  eventToJson,
  type Failure,
  type FunctionDefinition,
  payloadText,
  pushResponseFromJson,
  type Report,
  type ReportAnswer,
  type Resolution,
  reportFromJson,
  type WorkerHello,
} from '@ironflow/core/wire';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { WorkerChannel } from './channel.ts';
import { type HttpAnswer, HttpPoster } from './http-post.ts';
import type { Dispatcher } from './index.ts';
import { JobRoom } from './job-room.ts';

export interface PushSettings {
  /** Requests open to one endpoint at a time. Default 50. */
  readonly concurrency?: number | undefined;
  /** Signs every request (HMAC-SHA256 over the body). */
  readonly signingKey?: string | undefined;
  /** Where endpoints reach this engine, to store each step while the request is open. Not offered when absent. */
  readonly publicUrl?: string | undefined;
  /** First and longest rest of an endpoint that cannot be reached, in milliseconds. Default 500 and 60,000. */
  readonly restMs?: number | undefined;
  readonly restMsMax?: number | undefined;
}

export interface PushFunction {
  readonly version: number;
  readonly definition: FunctionDefinition;
}

export interface PushPorts {
  readonly engineId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dispatcher: Dispatcher;
  readonly settings: PushSettings;
  /** The push functions of an environment as they are now. */
  readonly functions: (env: string) => Promise<readonly PushFunction[]>;
  /** Where endpoints reach this engine; undefined while nobody knows. */
  readonly publicUrl: () => string | undefined;
  readonly register: (env: string, hello: WorkerHello) => Promise<void>;
  readonly unregister: (sessionId: string) => Promise<void>;
  /** Stores what an endpoint answered. `extended` when it is in our own form. */
  readonly report: (sessionId: string, report: Report, extended: boolean) => Promise<ReportAnswer>;
  /** Ends the run's attempt with an error. */
  readonly fail: (sessionId: string, assignment: Assignment, error: Failure) => Promise<void>;
  /** Hands the job back untouched. */
  readonly handBack: (sessionId: string, assignment: Assignment) => Promise<void>;
}

/**
 * Keeps one channel for each endpoint of an environment, as the registered functions say. A channel outlives a change of
 * its functions, for its requests stay open.
 */
export class PushDispatch {
  readonly #ports: PushPorts;
  readonly #poster = new HttpPoster();
  readonly #channels = new Map<string, PushChannel>();
  #made = 0;
  #syncing: Promise<void> = Promise.resolve();
  /** Environments whose functions could not be taken, and will be tried again. */
  readonly #again = new Map<string, Timer>();
  #closed = false;

  constructor(ports: PushPorts) {
    this.#ports = ports;
  }

  /** Takes the push functions of an environment as they are now. Where that fails, it is tried again until it does not. */
  sync(env: string): Promise<void> {
    const syncing = this.#syncing.then(() => this.#sync(env));
    this.#syncing = syncing.catch(() => this.#syncLater(env));
    return syncing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#syncing;
    for (const timer of this.#again.values()) timer.cancel();
    await Promise.all([...this.#channels.values()].map((channel) => channel.close()));
    this.#poster.close();
  }

  #syncLater(env: string): void {
    if (this.#closed || this.#again.has(env)) return;
    const { clock, logger } = this.#ports;
    const again = () => {
      this.#again.delete(env);
      this.sync(env).catch((error) => logger.warn('push endpoints are not brought up to date yet', { env, error }));
    };
    this.#again.set(env, clock.setTimer(SYNC_AGAIN_MS, again));
  }

  async #sync(env: string): Promise<void> {
    if (this.#closed) return;
    const wanted = new Map<string, Map<string, number>>();
    // Read in turn: of two looks the later one counts.
    for (const { definition, version } of await this.#ports.functions(env)) {
      const url = definition.endpointUrl ?? '';
      const served = wanted.get(url) ?? new Map<string, number>();
      wanted.set(url, served.set(definition.id, version));
    }
    for (const channel of this.#channels.values()) {
      if (channel.env === env && !wanted.has(channel.url)) wanted.set(channel.url, new Map());
    }
    for (const [url, served] of wanted) {
      const key = `${env} ${url}`;
      const known = this.#channels.get(key);
      if (known !== undefined && sameMap(known.functions, served)) continue;
      const channel = known ?? this.#open(env, url);
      await this.#ports.register(env, channel.hello(served));
      this.#channels.set(key, channel);
      this.#ports.dispatcher.detach(channel.sessionId);
      channel.functions = served;
      this.#ports.dispatcher.attach(channel);
      if (served.size === 0) void this.#letGo(key, channel);
    }
  }

  #open(env: string, url: string): PushChannel {
    const sessionId = `push_${this.#ports.engineId}_${++this.#made}`;
    return new PushChannel(sessionId, env, url, this.#ports, this.#poster);
  }

  /** Ends a channel that serves no function any more, once its open requests are answered. */
  async #letGo(key: string, channel: PushChannel): Promise<void> {
    await channel.answered();
    if (this.#closed || channel.functions.size > 0 || this.#channels.get(key) !== channel) return;
    this.#channels.delete(key);
    this.#ports.dispatcher.detach(channel.sessionId);
    await this.#ports
      .unregister(channel.sessionId)
      .catch((error) => this.#ports.logger.error('an endpoint could not be let go', { url: channel.url, error }));
  }
}

const sameMap = (a: ReadonlyMap<string, number | null>, b: ReadonlyMap<string, number> | undefined) =>
  b !== undefined && a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);

/** Pause after push functions could not be taken, in milliseconds: the store may be away. */
const SYNC_AGAIN_MS = 1_000;

/** Requests open to one endpoint at a time when not told. */
const JOBS_MAX = 50;

/** First and longest pause before what an endpoint answered is stored again, in milliseconds. */
const STORE_AGAIN_MS = 50;
const STORE_AGAIN_MS_MAX = 2_000;

/** Answers that say "not now" of the endpoint, and nothing of the run. */
const NOT_NOW = new Set([429, 502, 503, 504]);

class PushChannel implements WorkerChannel {
  readonly sessionId: string;
  readonly env: string;
  readonly url: string;
  /** Only changed while the dispatcher does not have the channel. */
  functions: ReadonlyMap<string, number | null> = new Map();
  /** Taken for granted until it answers in the contract's own form: what is to be undone has mostly been here before. */
  conversational = true;
  readonly #ports: PushPorts;
  readonly #poster: HttpPoster;
  readonly #open = new Map<string, AbortController>();
  readonly #working = new Set<Promise<void>>();
  readonly #room: JobRoom;
  #restTimer: Timer | undefined;
  #rests = 0;
  #closed = false;

  constructor(sessionId: string, env: string, url: string, ports: PushPorts, poster: HttpPoster) {
    this.sessionId = sessionId;
    this.env = env;
    this.url = url;
    this.#ports = ports;
    this.#poster = poster;
    this.#room = new JobRoom(this.#jobsMax);
  }

  get room(): number {
    return this.#restTimer !== undefined || this.#closed ? 0 : this.#room.free;
  }

  get #jobsMax(): number {
    return this.#ports.settings.concurrency ?? JOBS_MAX;
  }

  /** How it registers to serve these functions. */
  hello(functions: ReadonlyMap<string, number>): WorkerHello {
    return {
      workerId: this.sessionId,
      hostname: new URL(this.url).host,
      functionIds: [...functions.keys()],
      functionVersions: Object.fromEntries(functions),
      jobsMax: this.#jobsMax,
      labels: { endpoint: this.url },
      version: { sdk: '', runtime: '' },
      capabilities: [],
    };
  }

  heldJobs(): string[] {
    return this.#room.held();
  }

  take(jobs: number): void {
    this.#room.take(jobs);
  }

  giveBack(jobs: number): void {
    this.#room.giveBack(jobs);
  }

  assign(assignment: Assignment): void {
    this.#room.assign(assignment.jobId);
    const work = this.#call(assignment)
      .catch((error) =>
        this.#ports.logger.error('the answer of an endpoint could not be stored', {
          url: this.url,
          jobId: assignment.jobId,
          error,
        }),
      )
      .finally(() => this.#working.delete(work));
    this.#working.add(work);
  }

  /** News reach an open request with its next checkpoint. */
  resolve(_jobId: string, _resolution: Resolution): void {}

  revoke(jobId: string): void {
    this.#open.get(jobId)?.abort(new Error('the job was revoked'));
    this.ended(jobId);
  }

  ended(jobId: string): void {
    this.#room.ended(jobId);
    this.#ports.dispatcher.roomChanged(this);
  }

  /** Resolves once no request is open. */
  async answered(): Promise<void> {
    while (this.#working.size > 0) await Promise.allSettled(this.#working);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#restTimer?.cancel();
    for (const controller of this.#open.values()) controller.abort(new Error('the engine is shutting down'));
    await this.answered();
  }

  async #call(assignment: Assignment): Promise<void> {
    const controller = new AbortController();
    this.#open.set(assignment.jobId, controller);
    try {
      const body = this.#body(assignment);
      const answer = await this.#poster
        .post(new URL(this.url), body, this.#headers(body), controller.signal)
        .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
      if (controller.signal.aborted) return; // revoked: the engine has decided already
      const store = this.#take(assignment, answer);
      for (let failures = 0; !controller.signal.aborted && !(await this.#isStored(store)); failures++)
        await this.#pause(Math.min(STORE_AGAIN_MS * 2 ** failures, STORE_AGAIN_MS_MAX), controller.signal);
    } finally {
      this.#open.delete(assignment.jobId);
    }
  }

  /** Whether that is done. The endpoint has forgotten the job: what cannot be stored just now is stored later. */
  async #isStored(store: () => Promise<unknown>): Promise<boolean> {
    try {
      await store();
      return true;
    } catch (error) {
      if (!(error instanceof IronflowError && error.retryable)) throw error;
      this.#ports.logger.warn('what came of a request cannot be stored yet', { url: this.url, error });
      return false;
    }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#ports.clock.setTimer(ms, resolve);
      signal.addEventListener('abort', () => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** @returns what stores that it came to this. */
  #take(assignment: Assignment, answer: HttpAnswer | Error): () => Promise<unknown> {
    const fails = (failure: Failure) => () => this.#ports.fail(this.sessionId, assignment, failure);
    if (answer instanceof Error || NOT_NOW.has(answer.status)) {
      this.#rest(answer instanceof Error ? answer.message : `it answered ${answer.status}`);
      return () => this.#ports.handBack(this.sessionId, assignment);
    }
    this.#rests = 0;
    if (answer.status !== 200) return fails(statusFailure(this.url, answer));
    let report: { readonly report: Report; readonly extended: boolean };
    try {
      report = readAnswer(answer.body, assignment);
    } catch (error) {
      if (error instanceof LimitError) {
        const { name, code, message, details } = error;
        return fails({ ...{ name, code, retryable: false, message }, ...(details && { details }) });
      }
      return fails({
        name: 'PushError',
        code: 'PUSH_FAILED',
        retryable: false,
        message: `The endpoint ${this.url} answered 200 with something that is no push response: ${error instanceof Error ? error.message : String(error)} Serve the function with serve() of @ironflow/node.`,
      });
    }
    this.conversational = report.extended;
    return () => this.#ports.report(this.sessionId, report.report, report.extended);
  }

  #body(assignment: Assignment): string {
    const steps = assignment.memo.map(({ stepId, name, status, output, error }) => ({
      id: stepId,
      name,
      status,
      output: output === undefined ? undefined : (JSON.parse(payloadText(output)) as Json),
      error: error === undefined ? undefined : JSON.stringify(wireError(error)),
    }));
    const publicUrl = this.#ports.publicUrl();
    const parts = [
      `"run_id":${JSON.stringify(assignment.runId)}`,
      `"function_id":${JSON.stringify(assignment.functionId)}`,
      `"attempt":${assignment.attempt}`,
      `"event":${eventToJson(assignment.event)}`,
      `"steps":${JSON.stringify(steps)}`,
    ];
    if (assignment.secrets !== undefined) parts.push(`"secrets":${JSON.stringify(assignment.secrets)}`);
    if (publicUrl !== undefined) {
      const checkpoint = { url: publicUrl, worker_id: this.sessionId };
      parts.push(`"checkpoint":${JSON.stringify(checkpoint)}`, `"job":${assignmentToJson(assignment, true)}`);
    }
    return `{${parts.join(',')}}`;
  }

  #headers(body: string): Record<string, string> {
    const { signingKey } = this.#ports.settings;
    const headers: Record<string, string> = { 'x-ironflow-environment': this.env };
    if (signingKey !== undefined) {
      headers['x-ironflow-signature'] = `sha256=${createHmac('sha256', signingKey).update(body).digest('hex')}`;
    }
    return headers;
  }

  #rest(reason: string): void {
    if (this.#restTimer !== undefined || this.#closed) return;
    const { settings, clock, logger, dispatcher } = this.#ports;
    const restMs = Math.min((settings.restMs ?? 500) * 2 ** this.#rests, settings.restMsMax ?? 60_000);
    this.#rests++;
    logger.warn('an endpoint is not available; its runs wait', { url: this.url, reason, restMs });
    this.#restTimer = clock.setTimer(restMs, () => {
      this.#restTimer = undefined;
      dispatcher.roomChanged(this);
    });
  }
}

function readAnswer(body: string, assignment: Assignment): { readonly report: Report; readonly extended: boolean } {
  const answer: unknown = JSON.parse(body);
  if (answer !== null && typeof answer === 'object' && 'report' in answer) {
    return { report: reportFromJson(answer.report), extended: true };
  }
  return { report: pushResponseFromJson(answer, assignment), extended: false };
}

function wireError({ message, code, retryable, details }: Failure): Readonly<Record<string, unknown>> {
  const cause = details?.['cause'] as { readonly message?: unknown } | undefined; // as childFailure made it
  return {
    message,
    code,
    retryable,
    function_id: details?.['functionId'],
    child_run_id: details?.['childRunId'],
    cause: cause?.message,
  };
}

function statusFailure(url: string, { status, body }: HttpAnswer): Failure {
  let said: { message?: unknown; code?: unknown } = {};
  try {
    said = (JSON.parse(body) as { error?: typeof said }).error ?? {};
  } catch {
    // Not JSON: a proxy or another program answered.
  }
  const hint =
    status === 401
      ? ' The signing keys of engine and endpoint differ, or one of them has none.'
      : status === 404
        ? ' The endpoint does not serve this function, or the URL is another page.'
        : '';
  return {
    name: 'PushError',
    code: typeof said.code === 'string' && said.code in errorCatalogue ? said.code : 'PUSH_FAILED',
    retryable: status >= 500,
    message: `The endpoint ${url} answered ${status}${typeof said.message === 'string' ? `: ${said.message}` : ''}.${hint}`,
    details: { status, body: body.slice(0, 1_000) },
  };
}
