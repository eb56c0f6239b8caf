import { invariant } from '@ironflow/core';
import type { Assignment, JobEvent, MemoEntry, OpenWait } from '@ironflow/core/wire';
import { eventOfRun, mayHaveStoredEvent } from '../kernel/job-event.ts';
import { byArrival, memoEntryFrom } from '../kernel/memo.ts';
import { endingOf, jobIdOf } from '../kernel/run.ts';
import type { Store } from '../store/port.ts';
import { events, type RunRow, steps, type WaitRow, waits } from '../store/tables.ts';

const ALL = Number.MAX_SAFE_INTEGER;

/**
 * All that a worker needs to execute a leased run. Read after the lease is durable: from then on nobody else can add to the
 * memo, but for waits that are met, which come as resolutions as well.
 */
export async function loadAssignment(
  store: Store,
  run: RunRow,
  knownEvent: JobEvent | undefined,
  now: number,
): Promise<Assignment> {
  const event = knownEvent ?? (await loadEvent(store, run));
  const isFirst = run.fence === 1;
  const stepRows = isFirst ? [] : await store.scan({ table: steps, prefix: [run.id], limit: ALL });
  const waitRows = isFirst ? [] : await store.scan({ table: waits, prefix: [run.id], limit: ALL });
  const memo = stepRows.map(({ row }): MemoEntry => memoEntryFrom(row)).sort(byArrival);
  const open = waitRows.map(({ row }) => row).filter(({ kind }) => kind !== 'run-retry' && kind !== 'alternative');
  return {
    jobId: jobIdOf(run.id, run.fence),
    runId: run.id,
    functionId: run.functionId,
    attempt: run.attempt,
    event,
    memo,
    attempts: open
      .filter(({ kind, resolution }) => kind === 'retry' && resolution !== null)
      .map(({ stepId, attempt }) => ({ stepId, attempt })),
    waits: open.filter(({ resolution }) => resolution === null).map(openWaitFrom),
    wakes: Math.max(
      run.wakes,
      ...stepRows.map(({ row }) => row.resolution ?? 0),
      ...waitRows.map(({ row }) => row.resolution ?? 0),
    ),
    sequence: Math.max(0, ...memo.map(({ sequence }) => sequence), ...open.map(({ sequence }) => sequence)),
    fence: run.fence,
    leaseToken: run.leaseToken ?? '',
    timeLeftMs: (run.deadlineAt ?? now) - now,
    ...(run.ending !== null && { ending: endingOf(run)?.error }),
  };
}

async function loadEvent(store: Store, run: RunRow): Promise<JobEvent> {
  const [found] = mayHaveStoredEvent(run) ? await eventOf(store, run) : [];
  const event = eventOfRun(run, found?.row);
  if (event === undefined) throw new TypeError(`event ${run.eventId} of run ${run.id} is not stored`);
  return event;
}

function eventOf(store: Store, { eventId }: RunRow) {
  return store.scan({ table: events, index: 'byId', prefix: [eventId], limit: 1 });
}

function openWaitFrom({ stepId, kind, dueAt }: WaitRow): OpenWait {
  invariant(kind !== 'run-retry' && kind !== 'alternative', `no step waits by itself for this (${kind})`);
  return { stepId, kind, dueAt };
}
