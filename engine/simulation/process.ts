// A simulated process: its time and turns stop when it is killed, and wait when it is frozen. Its clock may be wrong.

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
  readonly #onGone = new Set<(reason: Error) => void>();
  #frozen = false;
  #offsetMs = 0;
  alive = true;

  constructor(name: string, clock: VirtualClock) {
    this.name = name;
    this.#clock = clock;
  }

  /** The time of day, as this process believes it to be. */
  now(): number {
    return this.#clock.now() + this.#offsetMs;
  }

  /** Time that only goes forward, as the platform's monotonic clock does: it knows nothing of jumps. */
  elapsed(): number {
    return this.#clock.now();
  }

  /** Sets its time of day this far from the true one, as an operator or a time server does. Timers that run are not moved by it. */
  setOffset(ms: number): void {
    this.#offsetMs = ms;
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
    for (const tell of this.#onGone) tell(new ProcessGone(this.name));
    this.#onGone.clear();
  }

  get isFrozen(): boolean {
    return this.#frozen;
  }

  /** Stops it, as SIGSTOP does, until `thaw`. */
  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    for (const callback of this.#held.splice(0)) this.#clock.soon(() => this.#run(callback));
  }

  /** Resolves once it is not frozen: what others send to it waits until then. */
  async awake(): Promise<void> {
    while (this.#frozen) await new Promise<void>((resolve) => this.#held.push(resolve));
  }

  /** The result of something this process does; nothing any more once it is killed. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const result = await work.catch((error: unknown) => this.#orNothing().then(() => Promise.reject(error)));
    await this.#orNothing();
    return result;
  }

  /** What this process answers to others, who see their connection break when it is killed. */
  answer<T>(work: Promise<T>): Promise<T> {
    if (!this.alive) return Promise.reject(new ProcessGone(this.name));
    return new Promise((resolve, reject) => {
      this.#onGone.add(reject);
      work.then(resolve, reject).finally(() => this.#onGone.delete(reject));
    });
  }

  async #orNothing(): Promise<void> {
    if (!this.alive) await new Promise<never>(() => {});
    await this.awake();
  }

  #run(callback: () => void): void {
    if (!this.alive) return;
    if (this.#frozen) this.#held.push(callback);
    else callback();
  }
}
