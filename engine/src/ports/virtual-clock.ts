// Time that moves by hand, for tests and the simulator.

import type { Clock, Timer } from './clock.ts';

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that stands still until `advance` is called. Turns (`soon`) are real: they take no time. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<Waiting>();
  #turnsOpen = 0;

  constructor(now = Date.UTC(2027, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const waiting = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(waiting);
    return { cancel: () => this.#timers.delete(waiting) };
  }

  /** The same for the SDK's executor, which asks for time under this name. */
  after(delayMs: number, callback: () => void): () => void {
    const timer = this.setTimer(delayMs, callback);
    return () => timer.cancel();
  }

  soon(callback: () => void): void {
    this.#turnsOpen++;
    setImmediate(() => {
      this.#turnsOpen--;
      callback();
    });
  }

  /** Moves time on, calling what comes due in order; after each, all that follows from it is done first. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms;
    await this.settle();
    for (let next = this.#next(target); next !== undefined; next = this.#next(target)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await this.settle();
    }
    this.#now = target;
  }

  /** Moves time on to the next timer, if there is one until `until`, and does all that follows from it. */
  async step(until: number): Promise<boolean> {
    const next = this.#next(until);
    if (next === undefined) return false;
    this.#timers.delete(next);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    await this.settle();
    return true;
  }

  /** When the next timer is due; undefined when there is none. */
  get nextAt(): number | undefined {
    return this.#next(Number.POSITIVE_INFINITY)?.at;
  }

  /** Sets the clock to another time without calling anything, as an operator or a bad time server may. */
  jump(ms: number): void {
    this.#now += ms;
  }

  /** Resolves when nothing is left to do at this instant. All work here goes by microtasks and turns, so this is exact. */
  async settle(): Promise<void> {
    do await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#turnsOpen > 0);
  }

  #next(until: number): Waiting | undefined {
    let next: Waiting | undefined;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    return next;
  }
}
