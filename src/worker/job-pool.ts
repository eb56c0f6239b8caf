// Job pool: the executions of one worker.
//   J1. At most `jobsMax` executions run; a job that comes as the last one ends waits its turn here.
//   J2. A job leaves when its execution is over or suspended, however that was.
//   J3. A job that continues an execution which is not here any more is asked for whole, and executed from its history.

import type { EventDefinitionRegistry } from '@ironflow/core';
import { type Assignment, isContinuation, type JobOffer, type Resolution } from '@ironflow/core/wire';
import type { Journal, Outcome } from '../execution/index.ts';
import type { IronflowFunction } from '../function/index.ts';
import { createJob, type Job } from '../job/index.ts';
import type { Logger } from '../logger.ts';
import type { Turns } from '../turns.ts';
import type { WarmExecutions } from './warm-executions.ts';

export interface JobPoolOptions {
  readonly functions: ReadonlyMap<string, IronflowFunction>;
  readonly jobsMax: number;
  readonly turns: Turns;
  readonly logger: Logger;
  /** See JobOptions. */
  readonly eventDefinitions?: EventDefinitionRegistry | undefined;
  /** See ExecutionOptions. */
  readonly gate?: () => Promise<void> | undefined;
  /** Keeps suspended executions. Without it none is kept. */
  readonly warm?: WarmExecutions | undefined;
}

/** Where a job comes from, and what becomes of it goes. */
export interface JobSource extends Journal {
  /** All of a job that came as a continuation; undefined when its lease is over. Asked until it answers. */
  whole?(jobId: string): Promise<Assignment | undefined>;
}

interface PooledJob {
  readonly offer: JobOffer;
  readonly source: JobSource;
  readonly retries: 'step' | 'run';
  readonly startedAt: number;
  job: Job | undefined;
  /** What came for the job while it waited its turn, or its history. */
  readonly news: Resolution[];
}

export class JobPool {
  readonly #options: JobPoolOptions;
  readonly #jobs = new Map<string, PooledJob>();
  #waiting: PooledJob[] = [];
  #running = 0;
  #closed = false;
  #idle: (() => void)[] = [];
  /** Called when a job has left. */
  onRoom: () => void = () => {};

  constructor(options: JobPoolOptions) {
    this.#options = options;
  }

  get available(): number {
    return Math.max(0, this.#options.jobsMax - this.#jobs.size);
  }

  /** How many suspended executions are kept, at most. */
  get executionsKept(): number {
    return this.#options.warm?.max ?? 0;
  }

  get size(): number {
    return this.#jobs.size;
  }

  jobs(): { readonly jobId: string; readonly startedAt: number }[] {
    return [...this.#jobs].map(([jobId, { startedAt }]) => ({ jobId, startedAt }));
  }

  has(jobId: string): boolean {
    return this.#jobs.has(jobId);
  }

  /** @returns false when the pool takes no more jobs. */
  add(offer: JobOffer, source: JobSource, retries: 'step' | 'run' = 'step'): boolean {
    if (this.#closed) return false;
    if (this.#jobs.has(offer.jobId)) return true;
    const startedAt = this.#options.turns.now();
    const pooled: PooledJob = { offer, source, retries, startedAt, job: undefined, news: [] };
    this.#jobs.set(offer.jobId, pooled);
    this.#waiting.push(pooled);
    this.#startNext();
    return true;
  }

  /** Takes no more jobs. @returns those that have not been started; they have left. */
  returnWaiting(): string[] {
    this.#closed = true;
    const jobIds = this.#waiting.splice(0).map(({ offer }) => offer.jobId);
    for (const jobId of jobIds) this.#leave(jobId);
    return jobIds;
  }

  resolve(jobId: string, resolution: Resolution): void {
    const pooled = this.#jobs.get(jobId);
    if (pooled?.job === undefined) pooled?.news.push(resolution);
    else pooled.job.execution.resolve(resolution);
  }

  drop(jobId: string, reason: string): void {
    const pooled = this.#jobs.get(jobId);
    if (pooled === undefined) return;
    if (pooled.job !== undefined) {
      pooled.job.execution.drop(reason);
      return;
    }
    this.#waiting = this.#waiting.filter((waiting) => waiting !== pooled);
    this.#leave(jobId);
  }

  /** The worker stops: drops its jobs, and what it kept. */
  dropAll(reason: string): void {
    for (const jobId of [...this.#jobs.keys()]) this.drop(jobId, reason);
    this.#options.warm?.releaseAll();
  }

  /** Resolves when no job is left. */
  async idle(): Promise<void> {
    if (this.#jobs.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #startNext(): void {
    while (this.#running < this.#options.jobsMax) {
      const pooled = this.#waiting.shift();
      if (pooled === undefined) return;
      this.#running++;
      void this.#execute(pooled).finally(() => {
        this.#running--;
        this.#leave(pooled.offer.jobId);
        this.#startNext();
      });
    }
  }

  async #execute(pooled: PooledJob): Promise<void> {
    const { functions, warm } = this.#options;
    const { offer, source } = pooled;
    const { runId, fence, functionId } = offer;
    const kept = warm?.take(runId, fence);
    if (isContinuation(offer) && kept !== undefined) {
      await this.#follow(pooled, kept, kept.continue(offer, source));
      return;
    }
    kept?.execution.drop('the run is executed from its history');
    const fn = functions.get(functionId);
    if (fn === undefined) {
      await this.#refuse(pooled);
      return;
    }
    const assignment = isContinuation(offer) ? await this.#whole(pooled) : offer;
    // It may have been dropped while it was asked for.
    if (assignment === undefined || this.#jobs.get(offer.jobId) !== pooled) return;
    const job = this.#create(fn, assignment, pooled);
    await this.#follow(pooled, job, job.run());
  }

  #create(fn: IronflowFunction, assignment: Assignment, { source: journal, retries }: PooledJob): Job {
    const { turns, logger, eventDefinitions, gate, warm } = this.#options;
    const keeps = warm && (() => !this.#closed && warm.takes(job.execution.length));
    const job: Job = createJob({
      ...{ fn, assignment, journal, turns, logger, eventDefinitions, gate, retries, keeps },
    });
    return job;
  }

  async #follow(pooled: PooledJob, job: Job, over: Promise<Outcome>): Promise<void> {
    pooled.job = job;
    for (const resolution of pooled.news.splice(0)) job.execution.resolve(resolution);
    const outcome = await over;
    if (outcome.status === 'suspended' && outcome.kept) this.#options.warm?.keep(pooled.offer.runId, job);
    this.#log(pooled.offer, outcome);
  }

  async #whole({ offer, source }: PooledJob): Promise<Assignment | undefined> {
    const { logger } = this.#options;
    try {
      return await source.whole?.(offer.jobId);
    } catch (error) {
      logger.warn(`job ${offer.jobId} was not taken: its history could not be had`, String(error));
      return undefined;
    }
  }

  /** The contract's answer to a job that this worker cannot know: its function is not here. */
  async #refuse({ offer, source }: PooledJob): Promise<void> {
    const { jobId, fence, leaseToken, functionId } = offer;
    const error = {
      name: 'FunctionNotFoundError',
      code: 'FUNCTION_NOT_FOUND',
      message: `This worker has no function "${functionId}".`,
      retryable: false,
    };
    const report = {
      jobId,
      fence,
      leaseToken,
      seenWakes: isContinuation(offer) ? 0 : offer.wakes,
      records: [],
      waits: [],
      end: { status: 'failed' as const, error },
    };
    await source
      .report(report)
      .catch((reason: unknown) => this.#options.logger.error(`job ${jobId} could not be refused`, reason));
  }

  #leave(jobId: string): void {
    if (!this.#jobs.delete(jobId)) return;
    this.onRoom();
    if (this.#jobs.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #log({ runId, functionId }: JobOffer, outcome: Outcome): void {
    const { logger } = this.#options;
    const run = `${functionId} ${runId}`;
    if (outcome.status === 'failed')
      logger.warn(`${run}: this attempt failed: ${outcome.error.message}`, outcome.error.stack ?? '');
    else if (outcome.status === 'dropped') logger.warn(`${run}: dropped: ${outcome.reason}`);
    else logger.debug(`${run}: ${outcome.status}`);
  }
}
