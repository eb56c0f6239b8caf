import { IronflowError } from '@ironflow/core';
import { capabilities, type LocalEngine, type WorkerLine } from '@ironflow/core/wire';
import { codeHashOf, type IronflowFunction, registrationOf } from '../function/index.ts';
import type { Logger } from '../logger.ts';
import { jitter } from '../random.ts';
import { pause, type Turns } from '../turns.ts';
import { version } from '../version.ts';
import type { JobPool } from './job-pool.ts';
import type { LeaseWatch } from './lease-watch.ts';
import type { Transport } from './transport.ts';

export interface InProcessOptions {
  readonly engine: LocalEngine;
  readonly environment: string;
  readonly workerId: string;
  readonly functions: readonly IronflowFunction[];
  readonly jobsMax: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly pool: JobPool;
  /** Confirmed with every renewal; the pool starts bodies by it. */
  readonly leases: LeaseWatch;
  readonly turns: Turns;
  readonly logger: Logger;
  /** Called once the engine knows the worker. */
  readonly registered: () => void;
}

const RETRY_MS_FIRST = 50;
const RETRY_MS_MAX = 2_000;

/** A worker beside its engine, in one process: jobs and reports are calls. */
export class InProcessTransport implements Transport {
  readonly #options: InProcessOptions;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();
  #line: WorkerLine | undefined;
  #cancelRenewal: (() => void) | undefined;

  constructor(options: InProcessOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { engine, environment, workerId, functions, jobsMax, labels, pool, leases } = this.#options;
    const functionVersions: Record<string, number> = {};
    for (const fn of functions) {
      const registration = registrationOf(fn, { mode: 'pull', codeHash: await codeHashOf(fn) });
      functionVersions[fn.id] = (await engine.registerFunction(environment, registration)).version;
    }
    const sent = leases.mark();
    const line = await engine.connectWorker(
      environment,
      {
        workerId,
        hostname: 'in-process',
        functionIds: functions.map(({ id }) => id),
        functionVersions,
        jobsMax,
        labels,
        version: { sdk: `node/${version}`, runtime: `node/${process.versions.node}` },
        capabilities: [...capabilities],
        executionsKept: pool.executionsKept,
      },
      {
        // The first job may come before connectWorker has returned the line.
        assigned: (offer) =>
          void pool.add(offer, {
            report: (report) => this.#untilAnswered((line) => line.report(report)),
            whole: (jobId) => this.#untilAnswered((line) => line.whole(jobId)),
          }),
        resolved: (jobId, resolution) => pool.resolve(jobId, resolution),
        revoked: (jobId, _code, message) => pool.drop(jobId, message),
      },
    );
    if (this.#stopping.signal.aborted) {
      await line.close(); // stopped before there was a line to close
      return;
    }
    this.#line = line;
    leases.confirmed(sent, line.leaseMs);
    this.#renewLater(line);
    this.#ready.resolve(line);
    this.#options.registered();
    await this.#stopped.promise;
  }

  readonly #ready = Promise.withResolvers<WorkerLine>();

  /** Asks again while the engine's store is away, as a worker does whose engine is. The engine takes a report that it knows for the same. */
  async #untilAnswered<T>(ask: (line: WorkerLine) => Promise<T>): Promise<T> {
    const { turns, logger } = this.#options;
    const line = await this.#ready.promise;
    for (let failures = 0; ; failures++) {
      try {
        return await ask(line);
      } catch (error) {
        if (this.#stopping.signal.aborted || !(error instanceof IronflowError && error.retryable)) throw error;
        if (failures === 0) logger.warn('the engine could not answer; it is asked again until it does', error);
        await pause(turns, jitter(Math.min(RETRY_MS_FIRST * 2 ** failures, RETRY_MS_MAX)), this.#stopping.signal);
      }
    }
  }

  drain(): void {
    this.#line?.drain();
  }

  /** An engine that shares its store with others can lose a frozen process's leases to them: the worker must notice. */
  #renewLater(line: WorkerLine): void {
    const { turns, leases, logger } = this.#options;
    this.#cancelRenewal = turns.after(line.leaseMs / 3, async () => {
      this.#renewLater(line);
      const sent = leases.mark();
      leases.look(); // a lapse until now is one, whatever comes of the renewal
      try {
        if (await line.renew()) leases.confirmed(sent, line.leaseMs);
      } catch (error) {
        logger.warn('the leases of this worker could not be renewed; it will be tried again', String(error));
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelRenewal?.();
    try {
      await this.#line?.close();
    } finally {
      this.#stopped.resolve();
    }
  }
}
