import { encodeJson, type JsonText, matchValueAt } from '@ironflow/core';
import { type JobEvent, payloadText } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { jobEventFrom, matchable } from '../kernel/job-event.ts';
import { meetsExpression } from '../kernel/wait-match.ts';
import { events, type RunRow, runs, type WaitRow, waits } from '../store/tables.ts';
import { settleWait } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
import { alternativesOf, isStepped } from './waits.ts';

/** Meets a wait with an event that fits it, unless it has been met, or was searched past this event, before. */
export async function meetEventWait(
  tx: Transaction,
  input: { readonly runId: string; readonly stepId: string; readonly position: number; readonly event: JobEvent },
  ports: CommandPorts,
): Promise<void> {
  const wait = await tx.get(waits, [input.runId, input.stepId]);
  if (wait === null || input.position <= wait.fromPosition) return;
  const run = await tx.get(runs, [input.runId]);
  if (run === null) return;
  if (wait.kind === 'event' && isStepped(wait))
    await settleWait(tx, run, wait, { status: 'completed', output: eventText(input.event) }, ports);
  else if (wait.kind === 'alternative' && wait.anyOf !== null) await meetAny(tx, run, wait, input, ports);
}

/** One of several events that are waited for has come. The oldest that is there of any of them is taken, and all are closed. */
async function meetAny(
  tx: Transaction,
  run: RunRow,
  { runId, anyOf, name }: WaitRow,
  { event, position }: { readonly event: JobEvent; readonly position: number },
  ports: CommandPorts,
): Promise<void> {
  const any = await tx.get(waits, [runId, anyOf ?? '']);
  if (any === null || !isStepped(any)) return;
  const first = await firstOfAny(tx, (await alternativesOf(tx, any)).filter(isEventQuestion));
  const won = 'event' in first && first.position < position ? first : { key: name, event };
  await settleWait(tx, run, any, { status: 'completed', output: anyText(won.key, won.event) }, ports);
}

export interface AlternativeQuestion extends EventQuestion {
  /** What the function calls it. */
  readonly name: string;
  readonly fromPosition: number;
}

/**
 * The oldest event that meets one of the alternatives (of two for one event, the one given first); or how far the log was searched
 * for each.
 */
export async function firstOfAny(
  tx: Transaction,
  alternatives: readonly AlternativeQuestion[],
): Promise<
  | { readonly key: string; readonly event: JobEvent; readonly position: number }
  | { readonly searchedTo: readonly number[] }
> {
  let first: { readonly key: string; readonly event: JobEvent; readonly position: number } | undefined;
  const searchedTo: number[] = [];
  for (const alternative of alternatives) {
    const found = await firstFittingEvent(tx, alternative, alternative.fromPosition);
    if ('searchedTo' in found) searchedTo.push(found.searchedTo);
    else if (first === undefined || found.position < first.position)
      first = { key: alternative.name, event: found.event, position: found.position };
  }
  return first ?? { searchedTo };
}

export function isEventQuestion(wait: WaitRow): wait is WaitRow & { readonly eventName: string } {
  return wait.eventName !== null;
}

/** What `waitForAny` returns, in JSON. */
export function anyText(which: string, event: JobEvent): JsonText {
  return `{"which":${JSON.stringify(which)},"event":${eventText(event)}}` as JsonText; // both parts are JSON
}

/** What a wait asks of an event. An empty path stands for any event of the name. */
export interface EventQuestion {
  readonly env: string;
  readonly eventName: string;
  readonly matchPath: string;
  readonly matchValue: string;
  readonly matchExpression: JsonText | null;
}

/** Whether an event of the name is what a wait asks for. */
export function fits(
  { matchPath, matchValue, matchExpression }: Omit<EventQuestion, 'env' | 'eventName'>,
  event: JobEvent,
): boolean {
  if (matchPath === '' && matchExpression === null) return true;
  const fields = matchable(event);
  if (matchPath !== '' && matchValueAt(fields, matchPath) !== matchValue) return false;
  return meetsExpression(matchExpression, event, () => fields);
}

/** Events of one name that one command looks through, at most. */
const LOOK_BACK_MAX = 5_000;
const PAGE = 500;

/** The first event after a position of the log that fits, or how far the log was searched. */
export async function firstFittingEvent(
  tx: Transaction,
  question: EventQuestion,
  after: number,
): Promise<{ readonly event: JobEvent; readonly position: number } | { readonly searchedTo: number }> {
  const { env, eventName } = question;
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
      if (fits(question, event)) return { event, position: row.position };
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
