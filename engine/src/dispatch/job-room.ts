// Room: how many more jobs a session can take, counted by this engine from what it sent and what it saw end. A worker's own count
// would be of another moment: the end of a job and the next poll travel side by side.
//
//   free ──take──► reserved ──assign──► held ──ended──► free
//            └──giveBack──► free

export class JobRoom {
  readonly #jobsMax: number;
  readonly #held: Set<string>;
  /** Never below zero: what was reserved on a channel may be assigned on the one that replaced it. */
  #reserved = 0;

  /** @param held - Jobs the session has from before, of an earlier engine or an earlier registration. */
  constructor(jobsMax: number, held: Iterable<string> = []) {
    this.#jobsMax = jobsMax;
    this.#held = new Set(held);
  }

  get free(): number {
    return Math.max(0, this.#jobsMax - this.#reserved - this.#held.size);
  }

  /** Jobs that are about to be sent. */
  get reserved(): number {
    return this.#reserved;
  }

  take(jobs: number): void {
    this.#reserved += jobs;
  }

  giveBack(jobs: number): void {
    this.#reserved = Math.max(0, this.#reserved - jobs);
  }

  assign(jobId: string): void {
    this.giveBack(1);
    this.#held.add(jobId);
  }

  ended(jobId: string): void {
    this.#held.delete(jobId);
  }

  held(): string[] {
    return [...this.#held];
  }
}
