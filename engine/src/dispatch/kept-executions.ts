// Kept executions: which worker still has the suspended execution of a run in its memory, and how far that one had come.
//
//   W1. It is current only for the very next lease of its run: whatever else touches a run raises its fence.
//   W2. It is a hint. A worker that has let go of an execution asks for the whole assignment.

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

  /** @param max - How many are remembered; of more, the latest. */
  constructor(max = 100_000) {
    this.#max = max;
  }

  note(runId: string, kept: KeptExecution): void {
    this.#byRun.delete(runId);
    this.#byRun.set(runId, kept);
    if (this.#byRun.size <= this.#max) return;
    const [oldest] = this.#byRun.keys();
    if (oldest !== undefined) this.#byRun.delete(oldest);
  }

  /** The session that has the run's execution, if one is known to. */
  sessionOf(runId: string): string | undefined {
    return this.#byRun.get(runId)?.sessionId;
  }

  /** The execution that a new lease continues, if it went to the right worker. It is forgotten: it is current no more. */
  take(runId: string, lease: { readonly sessionId: string; readonly fence: number }): KeptExecution | undefined {
    const kept = this.#byRun.get(runId);
    if (kept === undefined) return undefined;
    this.#byRun.delete(runId);
    return kept.sessionId === lease.sessionId && kept.fence + 1 === lease.fence ? kept : undefined;
  }
}
