// Polling: a worker's line to an engine over plain HTTP.
//
//   register functions ──► register worker ──► poll, report, heartbeat ──(404)──► register again
//                                                  └──(connection lost)──► poll again, later each time
//   L1. Jobs go on while the engine is away; their reports are sent again until it answers (report-queue.ts).
//   L2. A refusal that stays one ends the worker: of its key, or of what it registers.
//   L3. With an engine of our kind the poll stays open also while there is no room: it brings news of jobs that are held.

import { ConnectionError } from '@ironflow/core';
import {
  type Assignment,
  capabilities,
  isContinuation,
  type JobOffer,
  jobOfferFromJson,
  resolutionFromJson,
  workerHelloToJson,
} from '@ironflow/core/wire';
import type { IronflowFunction } from '../function/index.ts';
import type { Logger } from '../logger.ts';
import { jitter } from '../random.ts';
import { pause, type Turns } from '../turns.ts';
import { ContractJournal } from './contract-journal.ts';
import { errorFrom, Http, type HttpAnswer } from './http.ts';
import type { JobPool } from './job-pool.ts';
import type { LeaseWatch } from './lease-watch.ts';
import { helloOf, isFinal, parseObject, registerFunctions, registrationError } from './registration.ts';
import { ReportQueue } from './report-queue.ts';
import type { Transport } from './transport.ts';
import { wholeJob } from './whole-job.ts';

export interface PollingOptions {
  readonly serverUrl: string;
  readonly apiKey: string | undefined;
  readonly environment: string;
  readonly workerId: string;
  readonly functions: readonly IronflowFunction[];
  readonly jobsMax: number;
  readonly heartbeatMs: number;
  /** Longest pause before the next try, in milliseconds. */
  readonly reconnectMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly pool: JobPool;
  /** Confirmed with every heartbeat; the pool starts bodies by it. */
  readonly leases: LeaseWatch;
  readonly turns: Turns;
  readonly logger: Logger;
  /** Called whenever the engine has registered the worker. */
  readonly registered: () => void;
}

/** Longer than any engine holds a poll, in milliseconds. */
const POLL_MS_MAX = 45_000;
const RECONNECT_MS_FIRST = 100;
/** Pause after a poll that brought nothing, where the engine does not hold polls, in milliseconds. */
const EMPTY_POLL_MS = 1_000;

export class PollingTransport implements Transport {
  readonly #options: PollingOptions;
  readonly #http: Http;
  readonly #reports: ReportQueue;
  readonly #stopped = new AbortController();
  /** Whether the engine speaks our extensions; known once registered. */
  #extended = false;
  #leaseMs: number | undefined;
  #failures = 0;
  #draining = false;
  #polls = 0;
  #beats = 0;
  #pollAborted: AbortController | undefined;
  #cancelHeartbeat: (() => void) | undefined;

  constructor(options: PollingOptions) {
    this.#options = options;
    const { serverUrl, apiKey, environment, workerId, turns, logger, reconnectMs } = options;
    this.#http = new Http({
      serverUrl,
      headers: {
        'x-ironflow-environment': environment,
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      },
    });
    this.#reports = new ReportQueue({ http: this.#http, workerId, turns, logger, retryMsMax: reconnectMs });
    options.pool.onRoom = () => this.#roomChanged();
  }

  async run(): Promise<void> {
    const { logger, workerId } = this.#options;
    let registered = false;
    while (!this.#stopped.signal.aborted) {
      try {
        if (!registered) {
          await this.#register();
          registered = true;
          this.#failures = 0;
          this.#options.registered();
          logger.info(`worker ${workerId} is connected to ${this.#options.serverUrl}`);
        }
        registered = await this.#poll();
        this.#failures = 0;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (isFinal(error)) throw error;
        if (this.#failures === 0) logger.warn('the engine is not available; the worker will try again', String(error));
        await this.#pause(jitter(Math.min(RECONNECT_MS_FIRST * 2 ** this.#failures++, this.#options.reconnectMs)));
      }
    }
  }

  drain(): void {
    this.#draining = true;
    this.#pollAborted?.abort();
  }

  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#cancelHeartbeat?.();
    this.#stopped.abort();
    this.#pollAborted?.abort();
    this.#reports.close();
    // Says good-bye, so that what the worker still holds goes to others at once; without an answer the lease ends it.
    if (this.#extended) {
      await this.#http.call('POST', this.#path('deregister'), '{}', AbortSignal.timeout(1_000)).catch(() => {});
    }
    this.#http.close();
  }

  async #register(): Promise<void> {
    const { functions, workerId, jobsMax, labels, heartbeatMs } = this.#options;
    const functionVersions = await registerFunctions(this.#http, functions, this.#stopped.signal);
    const sent = this.#options.leases.mark();
    const hello = helloOf({
      ...{ workerId, functions, functionVersions, jobsMax, labels },
      capabilities: [...capabilities],
      executionsKept: this.#options.pool.executionsKept,
      beat: this.#beats,
    });
    const answer = await this.#call('POST', this.#path('register'), workerHelloToJson({ ...hello, heartbeatMs }));
    if (answer.status < 200 || answer.status > 299)
      throw registrationError(answer, 'REGISTRATION_FAILED', `Registering worker ${workerId}`);
    const told = parseObject(answer.body);
    const theirs = Array.isArray(told['capabilities']) ? told['capabilities'] : [];
    this.#extended = capabilities.every((name) => theirs.includes(name));
    this.#leaseMs = this.#extended ? Number(told['lease_ms']) : undefined;
    if (this.#leaseMs === undefined) this.#options.leases.confirmed(sent, Number.POSITIVE_INFINITY);
    // Jobs held from before may be lost: the heartbeat that confirms the leases names them.
    else if (this.#options.pool.size === 0) this.#options.leases.confirmed(sent, this.#leaseMs);
    else await this.#sendHeartbeat();
    const asked = Number(told['heartbeat_interval_ms']);
    this.#startHeartbeat(asked > 0 ? Math.min(asked, heartbeatMs) : heartbeatMs);
  }

  /** One poll and what it brings. False when the engine does not know the worker. */
  async #poll(): Promise<boolean> {
    const { pool } = this.#options;
    if (!this.#extended) {
      while (pool.available === 0 || this.#draining) {
        if (this.#stopped.signal.aborted) return true;
        await this.#pause(EMPTY_POLL_MS);
      }
    }
    const aborted = new AbortController();
    this.#pollAborted = aborted;
    const available = this.#draining ? 0 : pool.available;
    const query = `?available=${available}&poll=${++this.#polls}${this.#draining ? '&draining=1' : ''}`;
    const { lapses } = this.#options.leases;
    let answer: HttpAnswer;
    try {
      answer = await this.#http.call(
        'GET',
        this.#path(`jobs${query}`),
        undefined,
        AbortSignal.any([aborted.signal, this.#stopped.signal]),
        POLL_MS_MAX,
      );
    } catch (error) {
      if (aborted.signal.aborted && !this.#stopped.signal.aborted) return true; // given up for a newer poll
      throw error;
    } finally {
      if (this.#pollAborted === aborted) this.#pollAborted = undefined;
    }
    if (answer.status === 404) return false;
    if (answer.status === 204) {
      if (!this.#extended) await this.#pause(EMPTY_POLL_MS);
      return true;
    }
    if (answer.status !== 200) throw errorFrom(answer, 'Polling for jobs');
    const stands = this.#options.leases.isValid && this.#options.leases.lapses === lapses;
    this.#take(parseObject(answer.body), stands);
    return true;
  }

  /** @param stands - Whether leases that were given since the poll was sent still stand. */
  #take(told: Readonly<Record<string, unknown>>, stands: boolean): void {
    const { pool, logger } = this.#options;
    const each = (list: unknown, take: (item: Record<string, unknown>) => void) => {
      for (const item of Array.isArray(list) ? list : []) {
        try {
          take(item as Record<string, unknown>);
        } catch (error) {
          logger.error('the engine sent something this worker cannot read; it is passed over', error);
        }
      }
    };
    if (stands) each(told['jobs'], (job) => this.#accept(jobOfferFromJson(job)));
    each(told['resolutions'], (news) => pool.resolve(String(news['job_id']), resolutionFromJson(news['resolution'])));
    each(told['revoked'], (news) => pool.drop(String(news['job_id']), String(news['message'])));
  }

  #accept(offer: JobOffer): void {
    const { pool, workerId, turns } = this.#options;
    if (this.#extended) {
      pool.add(offer, {
        report: (report) => this.#reports.report(report),
        whole: (jobId) => wholeJob(this.#http, { workerId, jobId }, { pool, turns, stopped: this.#stopped.signal }),
      });
    } else if (!isContinuation(offer)) this.#acceptByContract(offer);
  }

  #acceptByContract(assignment: Assignment): void {
    const { pool, logger } = this.#options;
    this.#acknowledge(assignment).then(
      (stands) => {
        if (!stands) return;
        const { jobId, fence, leaseToken, sequence } = assignment;
        const journal = new ContractJournal({
          put: (body) => this.#put(jobId, body),
          post: (path, body) => this.#http.call('POST', path, body, this.#stopped.signal),
          lease: leaseToken === '' ? undefined : { execution_seq: fence, lease_token: leaseToken },
          sequence,
        });
        pool.add(assignment, journal, 'run');
      },
      (error) => logger.warn(`job ${assignment.jobId} was not taken: it could not be acknowledged`, String(error)),
    );
  }

  async #acknowledge({ jobId, runId, fence, leaseToken }: Assignment): Promise<boolean> {
    if (leaseToken === '') return true;
    const body = { run_id: runId, execution_seq: fence, lease_token: leaseToken };
    const answer = await this.#call('PUT', this.#path(`jobs/${encodeURIComponent(jobId)}/ack`), body);
    return answer.status >= 200 && answer.status <= 299;
  }

  /** Sends a contract report until an answer comes. */
  async #put(jobId: string, body: string): Promise<HttpAnswer> {
    for (let failures = 0; ; failures++) {
      try {
        const answer = await this.#http.call(
          'PUT',
          this.#path(`jobs/${encodeURIComponent(jobId)}`),
          body,
          this.#stopped.signal,
        );
        if (answer.status < 500) return answer;
      } catch (error) {
        if (this.#stopped.signal.aborted || !(error instanceof ConnectionError)) throw error;
      }
      await this.#pause(jitter(Math.min(RECONNECT_MS_FIRST * 2 ** failures, this.#options.reconnectMs)));
    }
  }

  #startHeartbeat(everyMs: number): void {
    this.#cancelHeartbeat?.();
    this.#cancelHeartbeat = this.#options.turns.after(everyMs, () => {
      this.#startHeartbeat(everyMs);
      this.#sendHeartbeat().catch((error) => this.#options.logger.debug('a heartbeat was not heard', String(error)));
    });
  }

  async #sendHeartbeat(): Promise<void> {
    const { pool, workerId, leases } = this.#options;
    leases.look(); // a lapse until now is one, whatever the answer will say
    const sent = leases.mark();
    const jobs = pool
      .jobs()
      .map(({ jobId, startedAt }) => ({ job_id: jobId, started_at: new Date(startedAt).toISOString() }));
    // The poll under way may yet bring a job that is not among these.
    const body = { worker_id: workerId, active_jobs: jobs.length, jobs, poll: this.#polls, beat: ++this.#beats };
    const answer = await this.#call('POST', this.#path('heartbeat'), body);
    if (answer.status !== 200 || this.#leaseMs === undefined) return;
    const { lost } = parseObject(answer.body);
    if (Array.isArray(lost)) for (const jobId of lost) pool.drop(String(jobId), 'its lease was lost');
    leases.confirmed(sent, this.#leaseMs);
  }

  /** With a poll held that says "no room", the engine must learn that there is some again. */
  #roomChanged(): void {
    if (!this.#extended) this.#pollAborted?.abort();
  }

  #call(method: string, path: string, body: unknown): Promise<HttpAnswer> {
    return this.#http.call(method, path, JSON.stringify(body), this.#stopped.signal);
  }

  #path(rest: string): string {
    return `/api/v1/workers/${encodeURIComponent(this.#options.workerId)}/${rest}`;
  }

  #pause(ms: number): Promise<void> {
    return pause(this.#options.turns, ms, this.#stopped.signal);
  }
}
