// Job pool: the executions of one worker.
//   J1. At most `jobsMax` executions run; a job that comes as the last one ends waits its turn here.
//   J2. A job leaves when its execution is over, however that was.

import type { Assignment, Resolution } from '@ironflow/core/wire';
import type { Execution, Journal, Outcome, Turns } from '../execution/index.ts';
import type { IronflowFunction } from '../function/index.ts';
import { createJob } from '../job/index.ts';
import type { Logger } from '../logger.ts';

export interface JobPoolOptions {
  readonly functions: ReadonlyMap<string, IronflowFunction>;
  readonly jobsMax: number;
  readonly turns: Turns;
  readonly logger: Logger;
  /** See ExecutionOptions. */
  readonly gate?: () => Promise<void> | undefined;
}

interface Job {
  readonly assignment: Assignment;
  readonly journal: Journal;
  readonly retries: 'step' | 'run';
  readonly startedAt: number;
  execution: Execution | undefined;
  /** What came for the job while it waited its turn. */
  readonly news: Resolution[];
}

export class JobPool {
  readonly #options: JobPoolOptions;
  readonly #jobs = new Map<string, Job>();
  #waiting: Job[] = [];
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
  add(assignment: Assignment, journal: Journal, retries: 'step' | 'run' = 'step'): boolean {
    if (this.#closed) return false;
    if (this.#jobs.has(assignment.jobId)) return true;
    const job: Job = {
      assignment,
      journal,
      retries,
      startedAt: this.#options.turns.now(),
      execution: undefined,
      news: [],
    };
    this.#jobs.set(assignment.jobId, job);
    this.#waiting.push(job);
    this.#startNext();
    return true;
  }

  /** Takes no more jobs. @returns those that have not been started; they have left. */
  returnWaiting(): string[] {
    this.#closed = true;
    const jobIds = this.#waiting.splice(0).map(({ assignment }) => assignment.jobId);
    for (const jobId of jobIds) this.#leave(jobId);
    return jobIds;
  }

  resolve(jobId: string, resolution: Resolution): void {
    const job = this.#jobs.get(jobId);
    if (job?.execution === undefined) job?.news.push(resolution);
    else job.execution.resolve(resolution);
  }

  drop(jobId: string, reason: string): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return;
    if (job.execution !== undefined) {
      job.execution.drop(reason);
      return;
    }
    this.#waiting = this.#waiting.filter((waiting) => waiting !== job);
    this.#leave(jobId);
  }

  dropAll(reason: string): void {
    for (const jobId of [...this.#jobs.keys()]) this.drop(jobId, reason);
  }

  /** Resolves when no job is left. */
  async idle(): Promise<void> {
    if (this.#jobs.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #startNext(): void {
    while (this.#running < this.#options.jobsMax) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#running++;
      void this.#execute(job).finally(() => {
        this.#running--;
        this.#leave(job.assignment.jobId);
        this.#startNext();
      });
    }
  }

  async #execute(job: Job): Promise<void> {
    const { functions, turns, logger, gate } = this.#options;
    const { assignment, journal, retries } = job;
    const fn = functions.get(assignment.functionId);
    if (fn === undefined) {
      await this.#refuse(job);
      return;
    }
    const { execution, handler } = createJob({ fn, assignment, journal, turns, logger, gate, retries });
    job.execution = execution;
    const over = execution.run(handler);
    for (const resolution of job.news.splice(0)) execution.resolve(resolution);
    this.#log(assignment, await over);
  }

  /** The contract's answer to a job that this worker cannot know: its function is not here. */
  async #refuse({ assignment, journal }: Job): Promise<void> {
    const { jobId, fence, leaseToken, functionId, wakes } = assignment;
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
      seenWakes: wakes,
      records: [],
      waits: [],
      end: { status: 'failed' as const, error },
    };
    await journal
      .report(report)
      .catch((reason: unknown) => this.#options.logger.error(`job ${jobId} could not be refused`, reason));
  }

  #leave(jobId: string): void {
    if (!this.#jobs.delete(jobId)) return;
    this.onRoom();
    if (this.#jobs.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #log({ runId, functionId }: Assignment, outcome: Outcome): void {
    const { logger } = this.#options;
    const run = `${functionId} ${runId}`;
    if (outcome.status === 'failed')
      logger.warn(`${run}: this attempt failed: ${outcome.error.message}`, outcome.error.stack ?? '');
    else if (outcome.status === 'dropped') logger.warn(`${run}: dropped: ${outcome.reason}`);
    else logger.debug(`${run}: ${outcome.status}`);
  }
}
