// A simulated process: its time and turns stop when it is killed, and wait when it is frozen.

import type { Clock, Timer } from '../src/ports/clock.ts';
import type { VirtualClock } from '../src/ports/virtual-clock.ts';

/** What a call to a dead process ends with. */
class ProcessGone extends Error {
  override name = 'ProcessGone';
}

export class SimProcess implements Clock {
  readonly name: string;
  readonly #clock: VirtualClock;
  readonly #held: (() => void)[] = [];
  readonly #gone = Promise.withResolvers<never>();
  #frozen = false;
  alive = true;

  constructor(name: string, clock: VirtualClock) {
    this.name = name;
    this.#clock = clock;
    this.#gone.promise.catch(() => {});
  }

  now(): number {
    return this.#clock.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#clock.setTimer(delayMs, () => this.#run(callback));
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = this.setTimer(delayMs, callback);
    return () => timer.cancel();
  }

  soon(callback: () => void): void {
    this.#clock.soon(() => this.#run(callback));
  }

  /** Kills it: nothing it was about to do happens, and nobody hears from it again. */
  kill(): void {
    this.alive = false;
    this.#held.length = 0;
    this.#gone.reject(new ProcessGone(this.name));
  }

  /** Stops it, as SIGSTOP does, until `thaw`. */
  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    for (const callback of this.#held.splice(0)) this.#clock.soon(() => this.#run(callback));
  }

  /** The result of something this process does; nothing any more once it is killed. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const result = await Promise.race([work, this.#gone.promise]);
    if (!this.alive) return new Promise<never>(() => {});
    if (this.#frozen) await new Promise<void>((resolve) => this.#held.push(resolve));
    return result;
  }

  /** For others: rejects when the process is killed, as an open connection breaks. */
  get gone(): Promise<never> {
    return this.#gone.promise;
  }

  #run(callback: () => void): void {
    if (!this.alive) return;
    if (this.#frozen) this.#held.push(callback);
    else callback();
  }
}
