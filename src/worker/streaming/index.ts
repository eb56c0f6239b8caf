// Streaming: a worker's line to an engine over one stream, both ways at once.
//
//   register functions ──► open ──► register worker ──► frames ──(stream over)──► register functions …, later each time
//   L1. Jobs go on while the engine is away; their reports are sent again by the next stream (pending-reports.ts).
//   L2. A refusal that stays one ends the worker: of its key, of what it registers, of the form of messages.
//   L3. A job is taken while the lease is known to stand, or when it came by a stream that was registered just now. One that was
//       assigned before a lapse arrives before the answer that confirms the session again, and goes back.
//   L4. An engine that does not answer a sign of life in time is given up: another one may be reached over a new stream.

import {
  type EngineFrame,
  type Registered,
  readEngineFrame,
  registerMessage,
  WorkerFrameWriter,
} from '@ironflow/core/frames';
import { jobOfferFromJson, resolutionFromJson, streamCapabilities } from '@ironflow/core/wire';
import type { IronflowFunction } from '../../function/index.ts';
import type { Logger } from '../../logger.ts';
import { jitter } from '../../random.ts';
import { pause, type Turns } from '../../turns.ts';
import { Http } from '../http.ts';
import type { JobPool, JobSource } from '../job-pool.ts';
import type { LeaseMark, LeaseWatch } from '../lease-watch.ts';
import { helloOf, isFinal, registerFunctions } from '../registration.ts';
import type { Transport } from '../transport.ts';
import { wholeJob } from '../whole-job.ts';
import { Connection, unsupported } from './connection.ts';
import { PendingReports } from './pending-reports.ts';

export interface StreamingOptions {
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
  /** Confirmed with every sign of life that was answered; the pool starts bodies by it. */
  readonly leases: LeaseWatch;
  readonly turns: Turns;
  readonly logger: Logger;
  /** Called whenever the engine has registered the worker. */
  readonly registered: () => void;
}

const RECONNECT_MS_FIRST = 100;
/** How long the engine may take to answer a sign of life, in milliseconds. */
const ANSWER_MS = 15_000;
/** Pause before a report goes again that the engine could not take just now, in milliseconds. */
const REPORT_AGAIN_MS = 200;
/** A frame that is longer is sent before more is put into it, in bytes. */
const FRAME_BYTES = 1024 * 1024;

export class StreamingTransport implements Transport {
  readonly #options: StreamingOptions;
  readonly #http: Http;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #stopped = new AbortController();
  readonly #reports: PendingReports;
  readonly #source: JobSource;
  #link: Link | undefined;
  #failures = 0;
  #draining = false;

  constructor(options: StreamingOptions) {
    this.#options = options;
    const { serverUrl, apiKey, environment, turns } = options;
    this.#headers = {
      'x-ironflow-environment': environment,
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
    this.#http = new Http({ serverUrl, headers: this.#headers });
    this.#reports = new PendingReports((send) => void turns.after(jitter(REPORT_AGAIN_MS), send));
    const { workerId, pool } = options;
    this.#source = {
      report: (report) => this.#reports.report(report),
      whole: (jobId) => wholeJob(this.#http, { workerId, jobId }, { pool, turns, stopped: this.#stopped.signal }),
    };
  }

  async run(): Promise<void> {
    const { logger, turns, reconnectMs } = this.#options;
    while (!this.#stopped.signal.aborted) {
      try {
        await this.#serve();
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (isFinal(error) || isUnsupported(error)) throw error;
        if (this.#failures === 0) logger.warn('the engine is not available; the worker will try again', String(error));
        const ms = jitter(Math.min(RECONNECT_MS_FIRST * 2 ** this.#failures++, reconnectMs));
        await pause(turns, ms, this.#stopped.signal);
      }
    }
  }

  drain(): void {
    this.#draining = true;
    const returned = this.#options.pool.returnWaiting();
    this.#link?.say((frame) => {
      frame.draining();
      for (const jobId of returned) frame.returned(jobId);
    });
  }

  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    await this.#link?.leave();
    this.#reports.close();
    this.#http.close();
  }

  /** Opens a stream and stays until it is over. */
  async #serve(): Promise<void> {
    const { functions, workerId, jobsMax, labels, logger, serverUrl, pool } = this.#options;
    const functionVersions = await registerFunctions(this.#http, functions, this.#stopped.signal);
    if (this.#stopped.signal.aborted) return;
    const hello = helloOf({
      ...{ workerId, functions, functionVersions, jobsMax, labels },
      capabilities: [...streamCapabilities],
      executionsKept: pool.executionsKept,
    });
    const link = new Link(this.#options, this.#source, this.#reports, this.#headers, registerMessage(hello), () => {
      this.#failures = 0;
      logger.info(`worker ${workerId} is connected to ${serverUrl}`);
      if (this.#draining) link.say((frame) => frame.draining());
      this.#options.registered();
    });
    this.#link = link;
    try {
      await link.closed;
    } finally {
      link.close();
      this.#link = undefined;
    }
  }
}

/** One stream and what the worker knows by it. */
class Link {
  readonly #options: StreamingOptions;
  readonly #source: JobSource;
  readonly #reports: PendingReports;
  readonly #connection: Connection;
  readonly #frame = new WorkerFrameWriter();
  readonly #sentAt: LeaseMark;
  readonly #onRegistered: () => void;
  readonly #presences = new Map<number, LeaseMark>();
  #presence = 0;
  #received = 0;
  #leaseMs = 0;
  #isOpen = false;
  #flushScheduled = false;
  #cancelHeartbeat: (() => void) | undefined;
  #cancelSilence: (() => void) | undefined;

  constructor(
    options: StreamingOptions,
    source: JobSource,
    reports: PendingReports,
    headers: Readonly<Record<string, string>>,
    register: Uint8Array,
    onRegistered: () => void,
  ) {
    this.#options = options;
    this.#source = source;
    this.#reports = reports;
    this.#onRegistered = onRegistered;
    this.#sentAt = options.leases.mark();
    this.#connection = new Connection({
      serverUrl: options.serverUrl,
      headers,
      register,
      turns: options.turns,
      registered: (registered) => this.#registered(registered),
      received: (message) => this.#take(message),
    });
  }

  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  say(put: (frame: WorkerFrameWriter) => void): void {
    if (!this.#isOpen) return;
    put(this.#frame);
    if (this.#frame.isEmpty || this.#flushScheduled) return;
    if (this.#frame.length > FRAME_BYTES) {
      this.#flush();
      return;
    }
    this.#flushScheduled = true;
    this.#options.turns.soon(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Says good-bye: what the worker still holds goes to others at once. Without an answer its leases end that. */
  async leave(): Promise<void> {
    this.#stopTimers();
    if (!this.#frame.isEmpty) this.#flush();
    this.#frame.leaving();
    await this.#connection.leave(this.#frame.take());
  }

  /** The stream is over. */
  close(): void {
    this.#isOpen = false;
    this.#stopTimers();
    this.#reports.send = undefined;
  }

  #registered({ capabilities, leaseMs, heartbeatMs }: Registered): void {
    const { leases, pool } = this.#options;
    if (!streamCapabilities.every((name) => capabilities.includes(name))) throw unsupported();
    this.#leaseMs = leaseMs;
    this.#isOpen = true;
    this.#reports.send = (number, report) => this.say((frame) => frame.report(number, report));
    // Jobs held from before may be lost: the sign of life that confirms the leases names them.
    if (pool.size === 0) leases.confirmed(this.#sentAt, leaseMs);
    this.#sayPresent();
    this.#startHeartbeat(Math.min(heartbeatMs > 0 ? heartbeatMs : Number.POSITIVE_INFINITY, this.#options.heartbeatMs));
    this.#reports.sendAll();
    this.#onRegistered();
  }

  #take(message: Uint8Array): void {
    const frame = readEngineFrame(message);
    if (frame !== undefined) this.#takeFrame(frame);
  }

  #takeFrame({ answers, jobs, news, revoked, heard }: EngineFrame): void {
    const { pool } = this.#options;
    for (const answer of answers) this.#reports.answered(answer);
    for (const job of jobs) this.#each(() => this.#accept(job));
    for (const { jobId, resolution } of news)
      this.#each(() => pool.resolve(jobId, resolutionFromJson(JSON.parse(resolution))));
    for (const { jobId, message } of revoked) pool.drop(jobId, message);
    if (heard !== undefined) this.#heard(heard);
  }

  #each(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#options.logger.error('the engine sent something this worker cannot read; it is passed over', error);
    }
  }

  #accept(json: string): void {
    const { pool, leases } = this.#options;
    this.#received++;
    const offer = jobOfferFromJson(JSON.parse(json));
    const isFresh = leases.isValid || leases.wouldStand(this.#sentAt, this.#leaseMs);
    if (isFresh && pool.add(offer, this.#source)) return;
    this.say((frame) => frame.returned(offer.jobId));
  }

  #startHeartbeat(everyMs: number): void {
    this.#cancelHeartbeat = this.#options.turns.after(everyMs, () => {
      this.#startHeartbeat(everyMs);
      this.#sayPresent();
    });
  }

  #sayPresent(): void {
    const { pool, leases, turns } = this.#options;
    leases.look(); // a lapse until now is one, whatever the answer will say
    const number = ++this.#presence;
    this.#presences.set(number, leases.mark());
    const jobIds = pool.jobs().map(({ jobId }) => jobId);
    this.say((frame) => frame.presence({ number, jobIds, received: this.#received }));
    this.#cancelSilence ??= turns.after(ANSWER_MS, () => this.#connection.abandon('the engine does not answer'));
  }

  #heard(number: number): void {
    const sent = this.#presences.get(number);
    if (sent === undefined) return;
    for (const earlier of this.#presences.keys()) if (earlier <= number) this.#presences.delete(earlier);
    if (this.#presences.size === 0) {
      this.#cancelSilence?.();
      this.#cancelSilence = undefined;
    }
    this.#options.leases.confirmed(sent, this.#leaseMs);
  }

  #flush(): void {
    if (this.#isOpen && !this.#frame.isEmpty) this.#connection.send(this.#frame.take());
  }

  #stopTimers(): void {
    this.#cancelHeartbeat?.();
    this.#cancelSilence?.();
    this.#cancelSilence = undefined;
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'STREAMING_NOT_SUPPORTED';
}
