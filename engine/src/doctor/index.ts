// Doctor: looks at what is stored, while engines work on it, for what no command would have left there.
//
//   D1. A finding is of rows as they were together at one moment: what looks wrong is read again until the run's row is the same
//       before and after its other rows were read. (Every change of a wait changes its run's row as well.)
//   D2. A repair is a command like any other. It looks again and leaves alone what has changed meanwhile.

import type { CommandPorts } from '../commands/ports.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import { isEnded } from '../kernel/run.ts';
import type { Clock } from '../ports/clock.ts';
import { pages } from '../store/pages.ts';
import type { Store } from '../store/port.ts';
import type { Row, Table } from '../store/table.ts';
import {
  attempts,
  matchPaths,
  type RunRow,
  runAttributes,
  runAudit,
  runs,
  sessions,
  steps,
  type WaitRow,
  waits,
} from '../store/tables.ts';
import { type Finding, rowName } from './finding.ts';
import { examineLogs } from './log-checks.ts';
import { examineRegistry } from './registry-checks.ts';
import { examineRun } from './run-checks.ts';
import type { RunPicture } from './run-picture.ts';

export type { Finding } from './finding.ts';

export interface DoctorOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Everything, or only what is under way: runs that have not ended, waits, sessions. Default `all`. */
  readonly scope?: 'all' | 'open';
}

const ALL = Number.MAX_SAFE_INTEGER;
/** Times that a run is read again when it changes while it is looked at. */
const TRIES = 20;

/** Looks at the whole store, a page at a time. */
export async function* examine({ store, clock, scope = 'all' }: DoctorOptions): AsyncGenerator<Finding> {
  for await (const page of pages(store, runs)) {
    for (const row of page) {
      if (scope === 'open' && isEnded(row)) continue;
      yield* await examineRunNow(store, row.id, clock);
    }
  }
  yield* orphans(store, waits);
  if (scope === 'all') {
    yield* orphans(store, steps);
    yield* orphans(store, attempts);
    yield* orphans(store, runAttributes);
    yield* orphans(store, runAudit, ({ expiresAt }) => expiresAt === null); // others outlive their run
    yield* examineLogs(store);
  }
  yield* examineRegistry(store, clock.now());
}

export async function examineAll(options: DoctorOptions): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const finding of examine(options)) found.push(finding);
  return found;
}

/** Repairs what can be repaired. @returns the findings that are left as they are. */
export async function repair(
  findings: readonly Finding[],
  commit: GroupCommit,
  ports: CommandPorts,
): Promise<readonly Finding[]> {
  const left: Finding[] = [];
  for (const finding of findings) {
    const { apply, check } = finding;
    if (apply === undefined) left.push(finding);
    else await commit.run(`repair ${check}`, undefined, (tx) => apply(tx, ports));
  }
  return left;
}

async function examineRunNow(store: Store, runId: string, clock: Clock): Promise<Finding[]> {
  for (let tries = 1; ; tries++) {
    const [before] = await store.get(runs, [[runId]]);
    if (before === null || before === undefined) return [];
    const picture = await pictureOf(store, before.row);
    const found = examineRun(picture, clock.now());
    if (found.length === 0) return found;
    const [after] = await store.get(runs, [[runId]]);
    if (after?.revision === before.revision) return found;
    if (tries === TRIES) return []; // it changes all the time: it is alive
  }
}

async function pictureOf(store: Store, run: RunRow): Promise<RunPicture> {
  const range = { prefix: [run.id], limit: ALL };
  const [waitRows, stepRows] = await Promise.all([
    store.scan({ table: waits, ...range }),
    store.scan({ table: steps, ...range }),
  ]);
  const open = waitRows.map(({ row }) => row);
  const [session] = run.leaseSession === null ? [] : await store.get(sessions, [[run.leaseSession]]);
  const childIds = open.flatMap(({ childRunId }) => (childRunId === null ? [] : [childRunId]));
  const children =
    childIds.length === 0
      ? []
      : await store.get(
          runs,
          childIds.map((id) => [id]),
        );
  return {
    run,
    waits: open,
    steps: stepRows.map(({ row }) => row),
    session: session?.row ?? null,
    children: new Map(childIds.map((id, i) => [id, children[i]?.row ?? null])),
    unlistedWaits: await unlisted(store, open),
  };
}

/** Waits for an event whose name and path no event would look up. */
async function unlisted(store: Store, open: readonly WaitRow[]): Promise<WaitRow[]> {
  const forEvents = open.filter(({ eventName, resolution }) => eventName !== null && resolution === null);
  if (forEvents.length === 0) return [];
  const listed = await store.get(
    matchPaths,
    forEvents.map(({ env, eventName, matchPath }) => [env, eventName, matchPath]),
  );
  return forEvents.filter((_, i) => !listed[i]);
}

/** Rows that belong to runs which are not there. */
async function* orphans<R extends Row & { readonly runId: string }>(
  store: Store,
  table: Table<R>,
  belongs: (row: R) => boolean = () => true,
): AsyncGenerator<Finding> {
  for await (const page of pages(store, table)) {
    const runIds = [...new Set(page.map(({ runId }) => runId))];
    const missing = await missingRuns(store, runIds);
    for (const row of missing.size === 0 ? [] : page.filter((one) => missing.has(one.runId) && belongs(one))) {
      const key = table.key.map((column) => row[column] ?? null);
      // A purge may have been under way.
      const [[still], again] = await Promise.all([store.get(table, [key]), missingRuns(store, [row.runId])]);
      if (!still || again.size === 0) continue;
      yield {
        check: 'orphan',
        rows: [rowName(table, key)],
        message: `It belongs to run ${row.runId}, which is not stored.`,
        repair: 'delete the row',
        apply: async (tx) => {
          if ((await tx.get(runs, [row.runId])) === null && (await tx.get(table, key)) !== null) tx.delete(table, key);
        },
      };
    }
  }
}

async function missingRuns(store: Store, runIds: readonly string[]): Promise<Set<string>> {
  const found = await store.get(
    runs,
    runIds.map((id) => [id]),
  );
  return new Set(runIds.filter((_, i) => !found[i]));
}
