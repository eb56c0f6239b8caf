import type { RunStatus } from '../store/tables.ts';

/** The contract's words for a run's status. */
export type WireRunStatus = 'pending' | 'running' | 'waiting' | 'paused' | 'completed' | 'failed' | 'cancelled';

export const wireStatus: Readonly<Record<RunStatus, WireRunStatus>> = {
  queued: 'pending',
  running: 'running',
  waiting: 'waiting',
  paused: 'paused',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
};

/** What a listing asks for: runs of one status, or of one that no run of this engine is in. */
export type StatusFilter = RunStatus | 'never';

const fromWire = new Map<string, StatusFilter | 'any'>([
  ...Object.entries(wireStatus).map(([status, word]) => [word, status as RunStatus] as const),
  ['unspecified', 'any'],
  ['waiting_for_capacity', 'never'],
]);

/** The contract's numbers for them. */
const fromNumber: readonly string[] = [
  'unspecified',
  'pending',
  'running',
  'completed',
  'failed',
  'cancelled',
  'paused',
  'waiting_for_capacity',
  'waiting',
];

/** Reads a status as any client writes it: `failed`, `FAILED`, `RUN_STATUS_FAILED`, `4`. Undefined when it is none. */
export function statusFilterFromWire(word: string): StatusFilter | 'any' | undefined {
  return fromWire.get(fromNumber[Number(word)] ?? word.toLowerCase().replace(/^run_status_/, ''));
}
