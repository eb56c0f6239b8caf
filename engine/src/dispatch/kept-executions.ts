// Kept executions: which worker still has the suspended execution of a run in its memory, and how far that one had come.
//
//   W1. It is current only for the very next lease of its run: whatever else touches a run raises its fence.
//   W2. It is a hint. A worker that has let go of an execution asks for the whole assignment.
//   W3. Of a worker's executions as many are remembered as it said it keeps; like it, the engine forgets the oldest first.

export interface KeptExecution {
  readonly sessionId: string;
  /** Of the lease under which it was suspended. */
  readonly fence: number;
  /** How many of the run's met waits it knows. */
  readonly seenWakes: number;
}

export class KeptExecutions {
  readonly #max: number;
  readonly #byRun = new Map<string, KeptExecution>();
  /** Runs of each session, in the order in which they were suspended. */
  readonly #runsOf = new Map<string, Set<string>>();

  /** @param max - How many are remembered in all. */
  constructor(max = 100_000) {
    this.#max = max;
  }

  /** @param keeps - How many executions the worker keeps, at most. */
  note(runId: string, kept: KeptExecution, keeps: number): void {
    this.#forget(runId);
    if (keeps < 1) return;
    this.#byRun.set(runId, kept);
    const runs = this.#runsOf.get(kept.sessionId) ?? new Set();
    this.#runsOf.set(kept.sessionId, runs.add(runId));
    if (runs.size > keeps) this.#forgetFirst(runs);
    if (this.#byRun.size > this.#max) this.#forgetFirst(this.#byRun.keys());
  }

  /** The session that has the run's execution, if one is known to. */
  sessionOf(runId: string): string | undefined {
    return this.#byRun.get(runId)?.sessionId;
  }

  /** The execution that a new lease continues, if it went to the right worker. It is forgotten: it is current no more. */
  take(runId: string, lease: { readonly sessionId: string; readonly fence: number }): KeptExecution | undefined {
    const kept = this.#forget(runId);
    return kept?.sessionId === lease.sessionId && kept.fence + 1 === lease.fence ? kept : undefined;
  }

  #forgetFirst(runIds: Iterable<string>): void {
    const [first] = runIds;
    if (first !== undefined) this.#forget(first);
  }

  #forget(runId: string): KeptExecution | undefined {
    const kept = this.#byRun.get(runId);
    if (kept === undefined) return undefined;
    this.#byRun.delete(runId);
    const runs = this.#runsOf.get(kept.sessionId);
    runs?.delete(runId);
    if (runs?.size === 0) this.#runsOf.delete(kept.sessionId);
    return kept;
  }
}
