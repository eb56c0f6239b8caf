// Worker: executes functions where it runs, and takes its jobs from an engine.
//
//   new ──start()──► running ──drain()──► draining ──last job done──► stopped
//                       └──────────────stop()──────────────────────►

import { type EventDefinitionRegistry, IronflowError, limits, ValidationError } from '@ironflow/core';
import type { LocalEngine } from '@ironflow/core/wire';
import { serverUrlFrom, variable } from '../environment.ts';
import { functionsById, type IronflowFunction } from '../function/index.ts';
import { type Logger, loggerFrom } from '../logger.ts';
import { randomText } from '../random.ts';
import { systemTurns } from '../turns.ts';
import { JobPool } from './job-pool.ts';
import { LeaseWatch } from './lease-watch.ts';
import type { Transport } from './transport.ts';
import { WarmExecutions, type WarmExecutionsConfig } from './warm-executions.ts';

export type { WarmExecutionsConfig } from './warm-executions.ts';

export interface WorkerConfig {
  /** The engine's address. Default: `IRONFLOW_SERVER_URL`, else `http://localhost:9123`. */
  readonly serverUrl?: string | undefined;
  /** The functions this worker executes. */
  readonly functions: readonly IronflowFunction[];
  /** Jobs executed at a time. Default 10. */
  readonly maxConcurrentJobs?: number | undefined;
  /** Longest pause between heartbeats, in milliseconds; the engine may ask for them sooner. Default 30,000. */
  readonly heartbeatInterval?: number | undefined;
  /** Longest pause before the next try to reach the engine, in milliseconds; the first ones are shorter. Default 5,000. */
  readonly reconnectDelay?: number | undefined;
  /** Shown where workers are listed. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** `streaming`: over one stream that stays open (HTTP/2). Default: `polling`, plain HTTP. */
  readonly transport?: 'polling' | 'streaming' | undefined;
  /** Suspended executions that stay in memory, to go on in place when their wait is met. `false`: none. */
  readonly warmExecutions?: WarmExecutionsConfig | false | undefined;
  /** Versions of events: what comes in an older one is lifted to the latest before a function sees it. */
  readonly eventDefinitions?: EventDefinitionRegistry | undefined;
  /** Default: the console, from `IRONFLOW_LOG_LEVEL` up. `false`: none. */
  readonly logger?: Logger | false | undefined;
  /** Default: `IRONFLOW_ENV`, else `default`. */
  readonly environment?: string | undefined;
  /** Default: `IRONFLOW_API_KEY`. */
  readonly apiKey?: string | undefined;
  /** An engine in this process (`createEngine()` of `@ironflow/engine`), in place of a server's address. */
  readonly engine?: LocalEngine | undefined;
}

export interface Worker {
  /** The worker's id, as the engine lists it. */
  readonly id: string;
  /**
   * Resolves when the engine has registered the worker and its functions for the first time: an event emitted from now on starts
   * them. Rejects with what `start()` rejects with before that, or when the worker is stopped. Nobody need look at it.
   * @example
   * const working = worker.start();
   * await worker.ready;
   */
  readonly ready: Promise<void>;
  /**
   * Connects and works until stopped; reconnects by itself.
   * @throws {UnauthenticatedError} or {UnauthorizedError} when the engine refuses the key; {IronflowError}
   *   FUNCTION_REGISTRATION_FAILED or REGISTRATION_FAILED when it refuses what is registered, WORKER_ALREADY_RUNNING.
   */
  start(): Promise<void>;
  /** Takes no new jobs, lets those under way end, then stops. */
  drain(): Promise<void>;
  /** Stops at once. What was under way is taken up by other workers from its last recorded step. */
  stop(): Promise<void>;
}

/**
 * Makes a worker that takes its jobs by polling, or by a stream (`transport`).
 * @throws {ValidationError} when the config is wrong.
 * @example
 * const worker = createWorker({ functions: [processOrder] });
 * process.on('SIGTERM', () => worker.drain());
 * await worker.start();
 */
export function createWorker(config: WorkerConfig): Worker {
  return new PullWorker(config);
}

class PullWorker implements Worker {
  readonly id: string;
  readonly ready: Promise<void>;
  readonly #registered = Promise.withResolvers<void>();
  readonly #config: WorkerConfig;
  readonly #logger: Logger;
  readonly #pool: JobPool;
  readonly #leases = new LeaseWatch(systemTurns);
  readonly #jobsMax: number;
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new';
  #transport: Transport | undefined;
  #stopping: Promise<void> | undefined;

  constructor(config: WorkerConfig) {
    this.#config = config;
    this.#logger = loggerFrom(config.logger);
    this.#jobsMax = config.maxConcurrentJobs ?? 10;
    if (!Number.isInteger(this.#jobsMax) || this.#jobsMax < 1 || this.#jobsMax > limits.jobsPerWorkerMax) {
      throw new ValidationError(
        `maxConcurrentJobs is ${this.#jobsMax}; it must be a whole number from 1 to ${limits.jobsPerWorkerMax}.`,
      );
    }
    if (config.functions.length > limits.functionsPerWorkerMax) {
      throw new ValidationError(
        `This worker has ${config.functions.length} functions; at most ${limits.functionsPerWorkerMax} are allowed. Divide them among several.`,
      );
    }
    config.eventDefinitions?.assertComplete();
    this.ready = this.#registered.promise;
    this.ready.catch(() => {}); // start() tells of it as well
    this.id = `worker-${systemTurns.now().toString(36)}-${randomText(6)}`;
    this.#pool = new JobPool({
      functions: functionsById(config.functions),
      jobsMax: this.#jobsMax,
      turns: systemTurns,
      logger: this.#logger,
      eventDefinitions: config.eventDefinitions,
      gate: () => this.#leases.gate(),
      warm: config.warmExecutions === false ? undefined : new WarmExecutions(systemTurns, config.warmExecutions),
    });
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') {
      throw new IronflowError(
        `This worker is ${this.#state}. Each worker is started once; make another with createWorker().`,
        {
          code: 'WORKER_ALREADY_RUNNING',
        },
      );
    }
    this.#state = 'running';
    try {
      this.#transport = await this.#createTransport();
      if (!this.#stopped()) await this.#transport.run();
    } catch (error) {
      this.#registered.reject(error);
      throw error;
    } finally {
      await this.stop();
    }
  }

  async drain(): Promise<void> {
    if (this.#state === 'running') {
      this.#state = 'draining';
      this.#logger.info(`worker ${this.id} takes no more jobs; ${this.#pool.size} under way`);
      this.#transport?.drain();
    }
    if (this.#state === 'draining') await this.#pool.idle();
    await this.stop();
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#state = 'stopped';
      this.#registered.reject(
        new IronflowError('The worker was stopped before it was registered.', { code: 'UNAVAILABLE' }),
      );
      this.#pool.dropAll('the worker has stopped');
      await this.#transport?.stop();
    })();
    return this.#stopping;
  }

  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  async #createTransport(): Promise<Transport> {
    const { functions, labels = {}, engine } = this.#config;
    const environment = this.#config.environment ?? variable('IRONFLOW_ENV') ?? 'default';
    const common = {
      ...{ environment, workerId: this.id, functions, jobsMax: this.#jobsMax, labels },
      ...{ pool: this.#pool, leases: this.#leases, turns: systemTurns, logger: this.#logger },
      registered: () => this.#registered.resolve(),
    };
    // Loaded when needed: serve() of the same package runs where there is no Node.
    if (engine !== undefined) {
      const { InProcessTransport } = await import('./in-process.ts');
      return new InProcessTransport({ ...common, engine });
    }
    const served = {
      ...common,
      serverUrl: serverUrlFrom(this.#config.serverUrl),
      apiKey: this.#config.apiKey || variable('IRONFLOW_API_KEY'),
      heartbeatMs: this.#config.heartbeatInterval ?? 30_000,
      reconnectMs: this.#config.reconnectDelay ?? 5_000,
    };
    if (this.#config.transport === 'streaming') {
      const { StreamingTransport } = await import('./streaming/index.ts');
      return new StreamingTransport(served);
    }
    const { PollingTransport } = await import('./polling.ts');
    return new PollingTransport(served);
  }
}
