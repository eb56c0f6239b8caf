// Lost answers: a commit or a claim has failed in a way that leaves open whether it took place. If it did, nobody was told of what it
// changed. An engine that is alone on its store has nobody who finds that by and by: it looks once for each answer that was lost.
//   L1. All who act on what is stored look at the store again at once, and again until that succeeds.
//   L2. A lease that was given to a session of this process and never handed over is seen by nobody but this: it is given back once
//       it is so old that its hand-over cannot be under way.

import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import { DueLoop } from './due-loop.ts';

export interface LostAnswersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Has everybody look at the store. */
  readonly look: () => Promise<void>;
  /** Gives back the leases that were given before this time and that nobody holds. */
  readonly giveBackUnheld: (leasedBefore: number) => Promise<void>;
}

/** A lease this old that its session does not hold was never handed over, in milliseconds. */
const UNHELD_AFTER_MS = 10_000;

export class LostAnswers {
  readonly #options: LostAnswersOptions;
  readonly #loop: DueLoop;
  #mustLook = false;
  /** When to look for leases that nobody holds, soonest first. */
  readonly #unheldAt: number[] = [];

  constructor(options: LostAnswersOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#loop = new DueLoop({
      name: 'lost answers',
      clock,
      logger,
      next: async () => (this.#mustLook ? clock.now() : (this.#unheldAt[0] ?? null)),
      work: (now) => this.#work(now),
    });
  }

  /** An answer was lost. */
  note(): void {
    const now = this.#options.clock.now();
    this.#mustLook = true;
    // Leases of one commit bear the time at which it was begun, or an earlier one.
    if (this.#unheldAt.at(-1) !== now + UNHELD_AFTER_MS) this.#unheldAt.push(now + UNHELD_AFTER_MS);
    this.#loop.dueAt(now);
  }

  close(): Promise<void> {
    return this.#loop.close();
  }

  async #work(now: number): Promise<boolean> {
    const { look, giveBackUnheld } = this.#options;
    if (this.#mustLook) {
      this.#mustLook = false;
      await look().catch((error: unknown) => {
        this.#mustLook = true;
        throw error;
      });
    }
    const due = this.#unheldAt.filter((at) => at <= now);
    if (due.length > 0) {
      await giveBackUnheld(now - UNHELD_AFTER_MS);
      this.#unheldAt.splice(0, due.length);
    }
    return false;
  }
}
