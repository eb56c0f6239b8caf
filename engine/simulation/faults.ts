// What goes wrong in a cluster, and how often.

export interface StoreFaults {
  /** Chances, at each commit or claim. */
  readonly killBefore: number;
  readonly killAfter: number;
  readonly failBefore: number;
  readonly failAfter: number;
  /** Chance, at each read. */
  readonly failRead: number;
  /** Longest delay of an operation, in milliseconds. */
  readonly delayMs: number;
  /** Chance that a notification is lost on its way to one of its listeners. */
  readonly loseNews: number;
}

const noFaults: StoreFaults = {
  killBefore: 0,
  killAfter: 0,
  failBefore: 0,
  failAfter: 0,
  failRead: 0,
  delayMs: 0,
  loseNews: 0,
};

export interface Faults {
  readonly store: StoreFaults;
  /** Chances that a call's request, or its answer, is lost. */
  readonly loseRequest: number;
  readonly loseAnswer: number;
  /** Chance that a report is delivered once more, up to 20 seconds later. */
  readonly repeatLate: number;
  /** Longest delay of a message, in milliseconds. */
  readonly networkMs: number;
  /** Mean time between kills of an engine, and of a worker, in milliseconds; 0 for never. */
  readonly engineLifeMs: number;
  readonly workerLifeMs: number;
  /** Chance that a process is frozen, past its lease as likely as not, rather than killed. */
  readonly freeze: number;
  /** How often some process has its clock set anew, in milliseconds; 0 for never. */
  readonly clockJumpMs: number;
}

export const calm: Faults = {
  store: noFaults,
  loseRequest: 0,
  loseAnswer: 0,
  repeatLate: 0,
  networkMs: 0,
  engineLifeMs: 0,
  workerLifeMs: 0,
  freeze: 0,
  clockJumpMs: 0,
};
