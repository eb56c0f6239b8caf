import type { JobOffer, Resolution } from '@ironflow/core/wire';

/** A session that is connected to this engine, by whatever transport: where its jobs are handed over. */
export interface WorkerChannel {
  readonly sessionId: string;
  readonly env: string;
  /** Function ids, each with the version the worker has, or null when it did not say. */
  readonly functions: ReadonlyMap<string, number | null>;
  /** Whether it speaks our extensions. */
  readonly conversational: boolean;
  /** How many more jobs it can take now. */
  readonly room: number;
  /** The dispatcher is about to send this many jobs. */
  take(jobs: number): void;
  /** The dispatcher does not send them after all. A job that is sent goes from there by `assign`. */
  giveBack(jobs: number): void;
  /** Hands a leased job over. */
  assign(offer: JobOffer): void;
  /** Jobs that the session is taken to hold. */
  heldJobs(): string[];
  /** A wait of a job it holds was met. Being told twice does no harm. */
  resolve(jobId: string, resolution: Resolution): void;
  /** A job it holds is no longer its own. */
  revoke(jobId: string, code: string, message: string): void;
  /** A job that was assigned to it is its own no more: its room is free again. */
  ended(jobId: string): void;
}

/** One whose worker registers by itself and comes back under the same name. */
export interface RegisteredChannel extends WorkerChannel {
  /**
   * Whether the worker would say that it holds this job, if it did, in a call that told how far it had come: `mark` is a number
   * of the transport's own, undefined where the worker does not count.
   */
  isTold(jobId: string, mark: number | undefined): boolean;
  /** The engine ends: nothing is handed over any more. */
  close(): void;
  /** Another channel serves the worker, or none: what was not handed over goes back. */
  replaced(): void;
}
