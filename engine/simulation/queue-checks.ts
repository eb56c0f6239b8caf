// Queued runs against room, once the storm is over and what it broke had time to come back.
//   Q1. No run stays queued for long while a worker that may execute it has room.

import { isEnded } from '../src/kernel/run.ts';
import type { RunRow, SessionRow } from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import type { Report } from './violation.ts';

/** A moment after which faults have stopped, and what is silent is given up by the others: leases, engines, sessions. */
export const RECOVERY_MS = 45_000;
/** In calm no claim fails and no news is lost, so that nothing has to be found by looking again. */
const PATIENCE_MS = 1_000;

export interface QueueChecksOptions {
  readonly mirror: Mirror;
  readonly now: () => number;
  /** When faults stopped; undefined while they go on. */
  readonly calmAt: () => number | undefined;
  readonly jobsMax: number;
  /** Ids of the workers that are alive. */
  readonly workers: () => readonly string[];
  readonly report: Report;
}

export class QueueChecks {
  readonly #options: QueueChecksOptions;
  /** Since when there has been room for a queued run, at each look. */
  readonly #unserved = new Map<string, number>();

  constructor(options: QueueChecksOptions) {
    this.#options = options;
  }

  /** To be called every second or so. */
  look(): void {
    const { mirror, now, calmAt, report } = this.#options;
    const calm = calmAt();
    if (calm === undefined || now() < calm + RECOVERY_MS) return;
    const open = [...mirror.runs.values()].filter((run) => !isEnded(run));
    const workers = this.#options.workers().flatMap((id) => mirror.sessions.get(id) ?? []);
    const free = workers.filter(({ id }) => this.#held(open, id) < this.#options.jobsMax);
    const queued = new Set<string>();
    for (const run of open) {
      if (run.readyAt === null || !free.some((worker) => mayExecute(worker, run, workers))) continue;
      queued.add(run.id);
      const since = this.#unserved.get(run.id) ?? now();
      this.#unserved.set(run.id, since);
      if (now() - since > PATIENCE_MS) {
        report(
          'a run that is ready goes to a worker with room',
          `${run.id} of ${run.functionId}, since ${run.readyAt}`,
        );
      }
    }
    for (const runId of [...this.#unserved.keys()]) if (!queued.has(runId)) this.#unserved.delete(runId);
  }

  #held(open: readonly RunRow[], sessionId: string): number {
    return open.filter(({ status, leaseSession }) => status === 'running' && leaseSession === sessionId).length;
  }
}

/** It has the version of the function, or nobody has. */
function mayExecute(worker: SessionRow, { functionId, functionVersion }: RunRow, all: readonly SessionRow[]): boolean {
  const versionOf = ({ functions }: SessionRow): unknown =>
    (JSON.parse(functions) as Record<string, unknown>)[functionId];
  return versionOf(worker) === functionVersion || !all.some((one) => versionOf(one) === functionVersion);
}
