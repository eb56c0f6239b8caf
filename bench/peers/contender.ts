// What is measured: an engine, ours or another, opened with everything that it needs. Each adapter exports
//   open(options: Options): Promise<Contender>

import type { WorkflowKind } from './workflow-kinds.ts';

export type Options = Readonly<Record<string, string>>;

export interface Started {
  /** Resolves with what the run returned. */
  result(): Promise<unknown>;
}

export interface Contender {
  /** Said in the report: what runs where, how it is synced, which versions. */
  readonly info: {
    readonly topology: string;
    readonly durability: string;
    readonly versions: Readonly<Record<string, string>>;
    readonly settings?: Readonly<Record<string, string | number>>;
  };
  /** Process by role; each with its children. The role `client` is shown without the others, which may be its children. */
  pids(): Readonly<Record<string, number>>;
  /**
   * Starts a run. What it resolves with may still be on its way to durable: `result()` is what counts as the answer.
   * @param key - Differs for every run of this contender.
   */
  start(kind: WorkflowKind, argument: number, key: string): Promise<Started>;
  /** The answer that the run of kind `wait` with this key waits for. Resolves when it is durable. */
  deliver?(key: string): Promise<void>;
  /** Adds one-step jobs in one call; a promise of each result. Queues only. */
  startMany?(keys: readonly string[]): Promise<Promise<unknown>[]>;
  /** Resolves when nothing is under way any more, where results are known before that. */
  settled?(): Promise<void>;
  /** What the database would do by itself within minutes: gives its planner statistics of the tables as they are. */
  maintain?(): Promise<void>;
  close(): Promise<void>;
}

/** Thrown by an adapter whose engine is not there: the contender is left out, and the report says why. */
export class NotAvailableError extends Error {
  override readonly name = 'NotAvailableError';
}
