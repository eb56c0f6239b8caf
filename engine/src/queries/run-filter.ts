// Which runs a listing or a bulk operation is about, as a range of an index and what else they must have.

import type { StatusFilter } from '../kernel/status-word.ts';
import { timeFromText, timeText } from '../ports/ids.ts';
import type { Scan } from '../store/port.ts';
import { type RunRow, type RunStatus, runs } from '../store/tables.ts';

export interface RunFilter {
  readonly functionId?: string | undefined;
  readonly status?: StatusFilter | undefined;
  /** Runs created from this time on, and up to this one, in milliseconds. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly eventId?: string | undefined;
  readonly eventName?: string | undefined;
  readonly parentRunId?: string | undefined;
}

/** The narrowest range of an index; the rest of the filter is looked at row by row. */
export function rangeOf(env: string, filter: RunFilter): Omit<Scan<RunRow>, 'limit'> {
  const { functionId, status, eventId, eventName, parentRunId } = filter;
  const places =
    parentRunId !== undefined
      ? { index: 'byParent', prefix: [parentRunId] }
      : functionId !== undefined
        ? { index: 'byFunction', prefix: [env, functionId] }
        : status !== undefined
          ? { index: 'byStatus', prefix: [env, status] }
          : { index: 'byEnv', prefix: [env] };
  const where = {
    env,
    ...(functionId !== undefined && { functionId }),
    ...(status !== undefined && { status: status as RunStatus }),
    ...(eventId !== undefined && { eventId }),
    ...(eventName !== undefined && { eventName }),
  };
  const since = Math.max(filter.since ?? 0, eventId === undefined ? 0 : timeOfEvent(eventId));
  return {
    table: runs,
    ...places,
    where,
    ...(since > 0 && { from: [`run_${timeText(since)}`] }),
    ...(filter.until !== undefined && { before: [`run_${timeText(filter.until + 1)}`] }),
  };
}

/** Runs of an event come after it, and its id has its time. 0 where it does not. */
function timeOfEvent(eventId: string): number {
  return timeFromText(/^evt_(.{10}).{16}$/.exec(eventId)?.[1] ?? '') ?? 0;
}
