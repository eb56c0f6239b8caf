// Lease watch: what a worker knows of its own leases, by its own clock.
//
// An engine gives a silent worker's jobs to others. A worker that was frozen, or cut off, must notice that itself before it
// starts anything: its clock tells it how long ago the engine last confirmed it.
//   K1. A body starts only while the session is known to be alive: less than `leaseMs` since a confirmed heartbeat was sent.
//   K2. After a lapse, the next confirmed heartbeat has named the jobs that are lost before anything starts again.
//   K3. A job that was handed over before a lapse and arrives after it is not taken.

import type { Turns } from '../execution/index.ts';

export class LeaseWatch {
  readonly #turns: Turns;
  #validUntil = Number.NEGATIVE_INFINITY;
  #lapsed = true;
  #lapses = 0;
  #waiting: (() => void)[] = [];

  constructor(turns: Turns) {
    this.#turns = turns;
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

  /**
   * The engine confirmed the session in answer to a call that was sent at `sentAt`, and jobs it named as lost have been
   * dropped.
   */
  confirmed(sentAt: number, leaseMs: number): void {
    this.look();
    this.#validUntil = Math.max(this.#validUntil, sentAt + leaseMs);
    if (this.#turns.now() >= this.#validUntil) return;
    this.#lapsed = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Undefined while bodies may start; otherwise a promise to wait for before looking again. */
  gate(): Promise<void> | undefined {
    if (this.isValid) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Notices a lapse. Called before anything that could hide one. */
  look(): void {
    if (this.#lapsed || this.#turns.now() < this.#validUntil) return;
    this.#lapsed = true;
    this.#lapses++;
  }
}
