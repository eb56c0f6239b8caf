// Lease: a worker session's right to make progress on a run.
//   L1. A run has at most one lease; taking one raises the run's fence.
//   L2. A report must carry the run's own fence, session and token; any other is refused whole.

import type { RunRow } from '../store/tables.ts';
import { isEnded } from './run.ts';

export interface LeaseClaim {
  readonly sessionId: string;
  readonly fence: number;
  /** Empty where the reporter's contract has none (its session and fence stand for it). */
  readonly token: string;
}

export interface Refusal {
  readonly code: 'RUN_NOT_FOUND' | 'RUN_NOT_RUNNING' | 'STALE_EXECUTION';
  readonly message: string;
}

/** Why a report under this claim may not change the run; undefined when it may. */
export function refuseReport(run: RunRow | null, claim: LeaseClaim): Refusal | undefined {
  if (run === null) return { code: 'RUN_NOT_FOUND', message: 'The run of this job does not exist. Drop the job.' };
  if (isEnded(run)) {
    return { code: 'RUN_NOT_RUNNING', message: `Run ${run.id} has ended: it is ${run.status}. Drop the job.` };
  }
  const holds =
    run.status === 'running' &&
    run.fence === claim.fence &&
    run.leaseSession === claim.sessionId &&
    (claim.token === '' || run.leaseToken === claim.token);
  if (holds) return undefined;
  return {
    code: 'STALE_EXECUTION',
    message: `Run ${run.id} is no longer leased under fence ${claim.fence}; its fence is ${run.fence}. Drop the job: another worker has it or will.`,
  };
}
