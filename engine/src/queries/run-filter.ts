// Which runs a listing or a bulk operation is about, as a range of an index and what else they must have.

import type { StatusFilter } from '../kernel/status-word.ts';
import { timeFromText, timeText } from '../ports/ids.ts';
import type { Scan, ScanRange } from '../store/port.ts';
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
  /** Names and values of attributes, all of which the run has. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** The narrowest range of an index of the runs; the rest of the filter is looked at row by row, but for attributes. */
export function rangeOf(env: string, filter: RunFilter, before?: string): Omit<Scan<RunRow>, 'limit'> {
  const { functionId, status, parentRunId } = filter;
  const places =
    parentRunId !== undefined
      ? { index: 'byParent', prefix: [parentRunId] }
      : functionId !== undefined
        ? { index: 'byFunction', prefix: [env, functionId] }
        : status !== undefined
          ? { index: 'byStatus', prefix: [env, status] }
          : { index: 'byEnv', prefix: [env] };
  return { table: runs, ...places, where: { env, ...columnsOf(filter) }, ...runIdRangeOf(filter, before) };
}

/** Between which ids the runs are, for an index that ends in them: by when they were created, and before an id if one is given. */
export function runIdRangeOf({ since, until, eventId }: RunFilter, before?: string): ScanRange {
  const from = Math.max(since ?? 0, eventId === undefined ? 0 : timeOfEvent(eventId));
  const ends = [
    ...(until === undefined ? [] : [`run_${timeText(until + 1)}`]),
    ...(before === undefined ? [] : [before]),
  ];
  const [end] = ends.sort();
  return { ...(from > 0 && { from: [`run_${timeText(from)}`] }), ...(end !== undefined && { before: [end] }) };
}

/** Whether the filter asks for more of a run's row than when it was created. */
export function hasMore(filter: RunFilter): boolean {
  return filter.parentRunId !== undefined || Object.keys(columnsOf(filter)).length > 0;
}

/** Whether a run has what the filter asks of its row. */
export function fitsRow(run: RunRow, env: string, filter: RunFilter): boolean {
  if (run.env !== env || (filter.parentRunId !== undefined && run.parentRunId !== filter.parentRunId)) return false;
  return Object.entries(columnsOf(filter)).every(([column, value]) => run[column as keyof RunRow] === value);
}

function columnsOf({ functionId, status, eventId, eventName }: RunFilter) {
  return {
    ...(functionId !== undefined && { functionId }),
    ...(status !== undefined && { status: status as RunStatus }),
    ...(eventId !== undefined && { eventId }),
    ...(eventName !== undefined && { eventName }),
  };
}

/** Runs of an event come after it, and its id has its time. 0 where it does not. */
function timeOfEvent(eventId: string): number {
  return timeFromText(/^evt_(.{10}).{16}$/.exec(eventId)?.[1] ?? '') ?? 0;
}
