// Auditor: the doctor's rounds of what is under way, in the background of an engine.

import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import { examine } from './index.ts';

export interface AuditorOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time from the end of one round to the next, in milliseconds. */
  readonly everyMs: number;
}

/** Findings that are told of in one round; a store that is damaged has many of one kind. */
const TOLD_MAX = 20;

export class Auditor {
  readonly #options: AuditorOptions;
  #timer: Timer | undefined;
  #round: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#options.clock.setTimer(this.#options.everyMs, () => {
      this.#round = this.#look().then(() => {
        if (!this.#closed) this.start();
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  async #look(): Promise<void> {
    const { store, clock, logger } = this.#options;
    let found = 0;
    try {
      for await (const { check, rows, message } of examine({ store, clock, scope: 'open' })) {
        if (this.#closed) return;
        if (++found <= TOLD_MAX) logger.warn(`audit: ${message} "ironflow doctor" tells more.`, { check, rows });
        await new Promise<void>((resolve) => clock.soon(resolve)); // others go first
      }
    } catch (error) {
      if (!this.#closed) logger.warn('the audit broke off and will be made again', { error });
      return;
    }
    if (found > TOLD_MAX) logger.warn('audit: more was found than is told here', { findings: found });
  }
}
