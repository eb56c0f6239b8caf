// Lease watch: what a worker knows of its own leases, by its own clocks.
//
// An engine gives a silent worker's jobs to others. A worker that was frozen, or cut off, must notice that itself before it
// starts anything: its clocks tell it how long ago the engine last confirmed it.
//   K1. A body starts only while the session is known to be alive: less than two thirds of `leaseMs` since a confirmed heartbeat was
//       sent. The rest is for engines whose clocks differ: one that is ahead of the others ends a lease that much sooner.
//   K2. After a lapse, the next confirmed heartbeat has named the jobs that are lost before anything starts again.
//   K3. A job that was handed over before a lapse and arrives after it is not taken.
//   K4. Both clocks must agree to it: the time of day may be set back, and the monotonic clock stands still in a machine that sleeps.

import { usableLease } from '@ironflow/core/wire';

/** Time of day and monotonic time, in milliseconds. */
export interface LeaseClock {
  now(): number;
  elapsed(): number;
}

/** A moment by both clocks. */
export interface LeaseMark {
  readonly now: number;
  readonly elapsed: number;
}

export class LeaseWatch {
  readonly #clock: LeaseClock;
  #validUntil: LeaseMark = { now: Number.NEGATIVE_INFINITY, elapsed: Number.NEGATIVE_INFINITY };
  #lapsed = true;
  #lapses = 0;
  #waiting: (() => void)[] = [];

  constructor(clock: LeaseClock) {
    this.#clock = clock;
  }

  /** Now: when a call is sent whose answer may confirm the session. */
  mark(): LeaseMark {
    return { now: this.#clock.now(), elapsed: this.#clock.elapsed() };
  }

  /** Grows with every lapse: equal before and after a call means that there was none meanwhile. */
  get lapses(): number {
    this.look();
    return this.#lapses;
  }

  get isValid(): boolean {
    this.look();
    return !this.#lapsed;
  }

  /** The engine confirmed the session in answer to a call that was sent at `sent`, and jobs it named as lost have been dropped. */
  confirmed(sent: LeaseMark, leaseMs: number): void {
    this.look();
    const usableMs = leaseMs * usableLease;
    this.#validUntil = {
      now: Math.max(this.#validUntil.now, sent.now + usableMs),
      elapsed: Math.max(this.#validUntil.elapsed, sent.elapsed + usableMs),
    };
    if (this.#isOver) return;
    this.#lapsed = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Whether a lease that was given at the mark or later is known to stand still. */
  wouldStand(since: LeaseMark, leaseMs: number): boolean {
    const { now, elapsed } = this.mark();
    return Math.max(now - since.now, elapsed - since.elapsed) < leaseMs * usableLease;
  }

  /** Undefined while bodies may start; otherwise a promise to wait for before looking again. */
  gate(): Promise<void> | undefined {
    if (this.isValid) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Notices a lapse. Called before anything that could hide one. */
  look(): void {
    if (this.#lapsed || !this.#isOver) return;
    this.#lapsed = true;
    this.#lapses++;
  }

  get #isOver(): boolean {
    return this.#clock.now() >= this.#validUntil.now || this.#clock.elapsed() >= this.#validUntil.elapsed;
  }
}
