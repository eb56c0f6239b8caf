import type { RunStatus } from '../store/tables.ts';

/** The contract's words for a run's status. */
export type WireRunStatus = 'pending' | 'running' | 'waiting' | 'completed' | 'failed' | 'cancelled';

export const wireStatus: Readonly<Record<RunStatus, WireRunStatus>> = {
  queued: 'pending',
  running: 'running',
  waiting: 'waiting',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
};

const fromWire = new Map(Object.entries(wireStatus).map(([status, word]) => [word as string, status as RunStatus]));

/** Reads a status as any client writes it: `failed`, `FAILED`, `RUN_STATUS_FAILED`. Undefined when it is none. */
export function statusFromWire(word: string): RunStatus | undefined {
  return fromWire.get(word.toLowerCase().replace(/^run_status_/, ''));
}
