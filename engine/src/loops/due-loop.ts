// A loop that works when something is due and sleeps until then. It asks the store what is due next, and is told of things
// that become due sooner; while nothing is due it does nothing at all.

import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';

export interface DueLoopOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** When the next thing is due; null when nothing is. */
  readonly next: () => Promise<number | null>;
  /** Does what is due at `now`. True when there may be more. */
  readonly work: (now: number) => Promise<boolean>;
}

/** Pause after a failure, in milliseconds: the store may be away. */
const FAILURE_PAUSE_MS = 1_000;

export class DueLoop {
  readonly #options: DueLoopOptions;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  /** The soonest time told of while a tick was running. */
  #hintedAt = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: DueLoopOptions) {
    this.#options = options;
  }

  start(): void {
    this.#wakeAt(this.#options.clock.now());
  }

  /** Something is due at this time. */
  dueAt(at: number): void {
    if (this.#running !== undefined) this.#hintedAt = Math.min(this.#hintedAt, at);
    else if (at < this.#timerAt) this.#wakeAt(at);
  }

  /** Does all that is due now, then sleeps until the next thing is. */
  tick(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#hintedAt < this.#timerAt) this.#wakeAt(this.#hintedAt);
      this.#hintedAt = Number.POSITIVE_INFINITY;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, name, next, work } = this.#options;
    this.#timer?.cancel();
    this.#timerAt = Number.POSITIVE_INFINITY;
    try {
      while (!this.#closed && (await work(clock.now())));
      const at = await next();
      if (at !== null) this.#wakeAt(at);
    } catch (error) {
      if (this.#closed) return;
      logger.error(`the ${name} loop failed and will try again`, { error });
      this.#wakeAt(clock.now() + FAILURE_PAUSE_MS);
    }
  }

  #wakeAt(at: number): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.#options.clock.setTimer(at - this.#options.clock.now(), () => {
      this.#timer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
      void this.tick();
    });
  }
}
