// Warm executions: suspended ones that stay in memory, to go on in place when their run is leased to this worker again.
//   H1. Bounded in number, in characters of payload and in time; the one that was suspended first is let go of first.
//   H2. Letting go costs a replay and nothing else: the engine sends the whole assignment to whoever asks for it.

import type { Job } from '../job/index.ts';
import type { Turns } from '../turns.ts';

export interface WarmExecutionsConfig {
  /** How many are kept, at most. Default 1,000. */
  readonly max?: number | undefined;
  /** Payload that they hold in all, in bytes, roughly. Default 64 MiB. */
  readonly bytesMax?: number | undefined;
  /** How long one is kept, in milliseconds. Default 600,000 (10 minutes). */
  readonly keepMs?: number | undefined;
}

interface Warm {
  readonly job: Job;
  readonly length: number;
  readonly cancelTimer: () => void;
}

/** What an execution takes beside its payloads, roughly, in bytes. */
const OVERHEAD = 4_096;

export class WarmExecutions {
  readonly #max: number;
  readonly #bytesMax: number;
  readonly #keepMs: number;
  readonly #turns: Turns;
  /** In the order in which they were suspended. */
  readonly #byRun = new Map<string, Warm>();
  #bytes = 0;

  constructor(turns: Turns, { max = 1_000, bytesMax = 64 * 1024 * 1024, keepMs = 600_000 }: WarmExecutionsConfig = {}) {
    this.#turns = turns;
    this.#max = max;
    this.#bytesMax = bytesMax;
    this.#keepMs = keepMs;
  }

  /** How many are kept, at most. */
  get max(): number {
    return this.#max;
  }

  get size(): number {
    return this.#byRun.size;
  }

  /** Whether one of this size would be kept. */
  takes(length: number): boolean {
    return this.#max > 0 && length + OVERHEAD <= this.#bytesMax;
  }

  keep(runId: string, job: Job): void {
    this.release(runId);
    const length = job.execution.length + OVERHEAD;
    const cancelTimer = this.#turns.after(this.#keepMs, () => this.release(runId));
    this.#byRun.set(runId, { job, length, cancelTimer });
    this.#bytes += length;
    for (const oldest of this.#byRun.keys()) {
      if (this.#byRun.size <= this.#max && this.#bytes <= this.#bytesMax) return;
      this.release(oldest);
    }
  }

  /** The execution of a run that a lease of this fence continues. It is kept no longer. */
  take(runId: string, fence: number): Job | undefined {
    const warm = this.#remove(runId);
    if (warm === undefined) return undefined;
    if (warm.job.execution.canContinue(fence)) return warm.job;
    warm.job.execution.drop('another execution of the run has begun');
    return undefined;
  }

  release(runId: string): void {
    this.#remove(runId)?.job.execution.drop('the suspended execution was let go of');
  }

  releaseAll(): void {
    for (const runId of [...this.#byRun.keys()]) this.release(runId);
  }

  #remove(runId: string): Warm | undefined {
    const warm = this.#byRun.get(runId);
    if (warm === undefined) return undefined;
    this.#byRun.delete(runId);
    this.#bytes -= warm.length;
    warm.cancelTimer();
    return warm;
  }
}
