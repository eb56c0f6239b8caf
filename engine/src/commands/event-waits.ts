import { encodeJson, type JsonText, matchValueAt } from '@ironflow/core';
import { type JobEvent, payloadText } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { jobEventFrom, matchable } from '../kernel/job-event.ts';
import { events, runs, waits } from '../store/tables.ts';
import { settleWait } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
import { isStepped } from './waits.ts';

/** Meets a wait with an event that fits it, unless it has been met, or was searched past this event, before. */
export async function meetEventWait(
  tx: Transaction,
  input: { readonly runId: string; readonly stepId: string; readonly position: number; readonly event: JobEvent },
  ports: CommandPorts,
): Promise<void> {
  const wait = await tx.get(waits, [input.runId, input.stepId]);
  if (wait === null || wait.kind !== 'event' || !isStepped(wait) || input.position <= wait.fromPosition) return;
  const run = await tx.get(runs, [input.runId]);
  if (run === null) return;
  await settleWait(tx, run, wait, { status: 'completed', output: eventText(input.event) }, ports);
}

/** What a wait asks of an event. An empty path stands for any event of the name. */
export interface EventQuestion {
  readonly env: string;
  readonly eventName: string;
  readonly matchPath: string;
  readonly matchValue: string;
}

/** Events of one name that one command looks through, at most. */
const LOOK_BACK_MAX = 5_000;
const PAGE = 500;

/** The first event after a position of the log that fits, or how far the log was searched. */
export async function firstFittingEvent(
  tx: Transaction,
  { env, eventName, matchPath, matchValue }: EventQuestion,
  after: number,
): Promise<{ readonly event: JobEvent } | { readonly searchedTo: number }> {
  const head = await tx.head(events, [env]);
  let searchedTo = after;
  for (let looked = 0; searchedTo < head && looked < LOOK_BACK_MAX; ) {
    const page = await tx.scan({
      table: events,
      index: 'byName',
      prefix: [env, eventName],
      after: [searchedTo],
      to: [head],
      limit: PAGE,
    });
    for (const row of page) {
      const event = jobEventFrom(row);
      if (matchPath === '' || matchValueAt(matchable(event), matchPath) === matchValue) return { event };
      searchedTo = row.position;
    }
    looked += page.length;
    if (page.length < PAGE) searchedTo = head;
  }
  return { searchedTo };
}

/** An event as `waitForEvent` returns it, in JSON. Its data is already text and is not parsed for this. */
export function eventText(event: JobEvent): JsonText {
  const head = encodeJson(
    {
      id: event.id,
      name: event.name,
      version: event.version,
      timestamp: new Date(event.timestamp).toISOString(),
      ...(event.source !== undefined && { source: event.source }),
    },
    'event',
  );
  const metadata = event.metadata === undefined ? '' : `,"metadata":${payloadText(event.metadata)}`;
  return `${head.slice(0, -1)},"data":${payloadText(event.data)}${metadata}}` as JsonText;
}
