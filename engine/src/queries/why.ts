// Why a run is where it is, in one sentence for whoever looks at it.

import { pauseOf } from '../kernel/run.ts';
import { expressionText } from '../kernel/wait-match.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/port.ts';
import { type RunRow, sessions, type WaitRow, waits } from '../store/tables.ts';

/** Waits that are told of one by one. */
const TOLD_MAX = 3;

/** Undefined for a run that has ended. */
export async function whyNotDone(store: Store, run: RunRow, clock: Clock): Promise<string | undefined> {
  switch (run.status) {
    case 'running':
      return whyRunning(store, run);
    case 'queued':
      return whyQueued(store, run, clock);
    case 'waiting':
      return `It ${await waitsFor(store, run)}.`;
    case 'paused':
      return `It was paused ${pausedBy(run)}. Resume it to let it go on.`;
    default:
      return undefined;
  }
}

async function whyRunning(store: Store, run: RunRow): Promise<string> {
  const [session] = await store.get(sessions, [[run.leaseSession ?? '']]);
  const until = session?.row.expiresAt ?? null;
  const lease = `worker ${run.leaseSession} holds its lease${until === null ? '' : ` until ${iso(until)}, and longer while it is heard of`}`;
  if (run.pause === null) return `It is being executed: ${lease}.`;
  return `It is to be paused, asked for ${pausedBy(run)}; ${lease}, and finishes what it is at.`;
}

async function whyQueued(store: Store, run: RunRow, clock: Clock): Promise<string> {
  const since = iso(run.readyAt ?? run.updatedAt);
  const rows = await store.scan({ table: sessions, index: 'byEnv', prefix: [run.env], limit: Number.MAX_SAFE_INTEGER });
  const able = rows.filter(
    ({ row }) =>
      !row.expired &&
      (row.expiresAt ?? 0) > clock.now() &&
      Object.hasOwn(JSON.parse(row.functions) as object, run.functionId), // as registerSession stored it
  );
  if (able.length === 0) return `It is ready since ${since}; no worker has function "${run.functionId}".`;
  const workers = able.length === 1 ? `worker ${able[0]?.row.id} has` : `${able.length} workers have`;
  return `It is ready since ${since}; ${workers} function "${run.functionId}", and no room for it yet.`;
}

async function waitsFor(store: Store, run: RunRow): Promise<string> {
  const found = await store.scan({
    table: waits,
    prefix: [run.id],
    where: { resolution: null },
    limit: TOLD_MAX + 1,
  });
  // By time, as that is what somebody who looks wants to know first.
  const open = found.map(({ row }) => row).sort((a, b) => (a.dueAt ?? Infinity) - (b.dueAt ?? Infinity));
  if (open.length === 0) return 'waits, and nothing is stored that it waits for: run "ironflow doctor"';
  const told = open.slice(0, TOLD_MAX).map(describe);
  const more = run.openWaits - told.length;
  return `${told.join(', and ')}${more > 0 ? `, and ${more} more` : ''}`;
}

function describe(wait: WaitRow): string {
  const until = wait.dueAt === null ? '' : ` until ${iso(wait.dueAt)}`;
  const step = ` (step "${wait.name}")`;
  switch (wait.kind) {
    case 'sleep':
      return `sleeps${until}${step}`;
    case 'event': {
      return `waits for event "${wait.eventName}"${matchOf(wait)}${until}${step}`;
    }
    case 'any':
      return `waits for whichever of several events comes first${until}${step}`;
    case 'alternative': // of the line above
      return `takes event "${wait.eventName}"${matchOf(wait)} as "${wait.name}"`;
    case 'child':
      return `waits for run ${wait.childRunId} of function "${wait.functionId}"${until}${step}`;
    case 'decision':
      return `waits for somebody to decide how attempt ${wait.attempt} of step "${wait.name}" ended, which must not run twice`;
    case 'retry':
      return `waits${until} for attempt ${wait.attempt} of step "${wait.name}"`;
    case 'run-retry':
      return `waits${until} for attempt ${wait.attempt} of the whole run`;
  }
}

/** An expression says all that is asked for; the place and value beside it are how it is looked up. */
function matchOf({ matchExpression, matchPath, matchValue }: WaitRow): string {
  if (matchExpression !== null) return ` with ${expressionText(matchExpression)}`;
  return matchPath === '' ? '' : ` with ${matchPath} = ${matchValue}`;
}

function pausedBy(run: RunRow): string {
  const pause = pauseOf(run);
  if (pause === undefined) return 'by nobody who is on record';
  return `by ${pause.by} at ${iso(pause.at)}${pause.reason === '' ? '' : `: ${pause.reason}`}`;
}

const iso = (ms: number) => new Date(ms).toISOString();
