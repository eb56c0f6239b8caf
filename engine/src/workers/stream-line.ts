import type { Report, ReportAnswer } from '@ironflow/core/wire';

export type { LineHandlers } from '../dispatch/line-channel.ts';

/** A worker's stream, as the engine sees it. */
export interface StreamLine {
  /** How long its leases stand after a sign of life, in milliseconds. */
  readonly leaseMs: number;
  /** Whether the worker speaks all of our extensions. */
  readonly conversational: boolean;
  /** The worker gave a sign of life. False when its session has been removed: it must register anew. */
  heard(): Promise<boolean>;
  /**
   * Renews the leases and compares what the worker holds with what is leased to it.
   * @param received - How many jobs had come by this stream; undefined where the worker does not count them.
   * @returns the jobs it holds in vain; undefined when its session has been removed.
   */
  present(jobIds: readonly string[], received: number | undefined): Promise<readonly string[] | undefined>;
  report(report: Report): Promise<ReportAnswer>;
  /** The worker has not started this job, and will not. */
  returned(jobId: string): Promise<void>;
  /** It takes no more jobs. */
  drain(): void;
  /** It turned out to take nothing now, or may take jobs again. */
  setFull(isFull: boolean): void;
  /** It says good-bye: what it still holds goes to others at once. */
  leave(): Promise<void>;
  /** The stream has ended. */
  ended(): void;
}
