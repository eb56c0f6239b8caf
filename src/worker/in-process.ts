import { capabilities, type LocalEngine, type WorkerLine } from '@ironflow/core/wire';
import { codeHashOf, type IronflowFunction, registrationOf } from '../function/index.ts';
import type { Logger } from '../logger.ts';
import type { Turns } from '../turns.ts';
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

/** A worker beside its engine, in one process: jobs and reports are calls. */
export class InProcessTransport implements Transport {
  readonly #options: InProcessOptions;
  readonly #stopped = Promise.withResolvers<void>();
  #line: WorkerLine | undefined;
  #cancelRenewal: (() => void) | undefined;
  #isStopped = false;

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
            report: async (report) => (await this.#ready.promise).report(report),
            whole: async (jobId) => (await this.#ready.promise).whole(jobId),
          }),
        resolved: (jobId, resolution) => pool.resolve(jobId, resolution),
        revoked: (jobId, _code, message) => pool.drop(jobId, message),
      },
    );
    if (this.#isStopped) {
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
    this.#isStopped = true;
    this.#cancelRenewal?.();
    await this.#line?.close();
    this.#stopped.resolve();
  }
}
