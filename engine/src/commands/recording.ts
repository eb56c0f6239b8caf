// Recording: a function that is recorded has an audit trail of what its runs did, beside what people did to them.
//   T1. An entry is written in the commit that makes true what it says. Every command's writes are looked at before they are
//       committed (group-commit), whichever command it was, so nothing goes by unrecorded.
//   T2. One entry for each step that is recorded, each attempt and each lease that failed, each wait that begins, the start and the
//       end of the run. What an operator did has the operator's entry alone.
//   T3. Entries stay for the function's retention, whatever becomes of the run: also those of operators.
//   T4. Runs of other functions cost no row and no read: their definition, which is in memory, says so.

import { isIronflowError, parseRecordingRetention } from '@ironflow/core';
import type { Failure, FunctionDefinition } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { endingOf } from '../kernel/run.ts';
import type { Table } from '../store/table.ts';
import {
  type AttemptRow,
  attempts,
  type RunAuditRow,
  type RunRow,
  runAudit,
  runs,
  type StepRow,
  steps,
  type WaitRow,
  waits,
} from '../store/tables.ts';
import { addEntry, type Entry, summaryOf } from './audit.ts';
import type { CommandPorts } from './ports.ts';

/** What an entry that is never to leave has for the time when it does: the last instant that a date can be. */
export const neverExpires = 8_640_000_000_000_000;

const recordedTables: ReadonlySet<Table> = new Set<Table>([runs, steps, attempts, waits, runAudit]);

/** Adds the entries that follow from what a command has written. Undefined when none can. */
export function recordRuns(tx: Transaction, ports: CommandPorts): Promise<void> | undefined {
  // Nearly all commands have to do with one run, of a function that is not recorded: those cost no set.
  let plain: string | undefined;
  let others: Set<string> | undefined;
  tx.forRows((table, before, row) => {
    if (table !== runs) return;
    const run = (row ?? before) as RunRow | null; // of its table
    if (run === null || run.id === plain || !isPlain(run, ports)) return;
    if (plain === undefined) plain = run.id;
    else others = (others ?? new Set()).add(run.id);
  });
  let concerned: Set<string> | undefined;
  tx.forRows((table, _, row, written) => {
    if (!written || row === null || !recordedTables.has(table)) return;
    const runId = String(table === runs ? row['id'] : row['runId']);
    if (runId !== plain && others?.has(runId) !== true) concerned = (concerned ?? new Set()).add(runId);
  });
  return concerned === undefined ? undefined : recordAll(tx, concerned, ports);
}

function isPlain({ env, functionId, functionVersion }: RunRow, { functions }: CommandPorts): boolean {
  const definition = functions.known(env, functionId, functionVersion);
  return definition !== undefined && definition.recording !== true;
}

async function recordAll(tx: Transaction, runIds: Iterable<string>, ports: CommandPorts): Promise<void> {
  for (const runId of runIds) {
    const run = await tx.get(runs, [runId]);
    if (run === null) continue;
    const definition = await ports.functions.version(tx, run.env, run.functionId, run.functionVersion);
    if (definition?.recording !== true) continue;
    record(tx, run, tx.now + retentionMsOf(definition), ports);
  }
}

function retentionMsOf({ recordingRetention }: FunctionDefinition): number {
  try {
    return parseRecordingRetention(recordingRetention);
  } catch (error) {
    if (!isIronflowError(error)) throw error;
    return parseRecordingRetention(); // registered when nobody read it yet
  }
}

function record(tx: Transaction, run: RunRow, until: number, ports: CommandPorts): void {
  const expiresAt = Math.min(until, neverExpires);
  const changes = changesOf(tx, run.id);
  for (const entry of changes.operations) tx.update(runAudit, { ...entry, expiresAt });
  const entries = entriesOf(run, changes);
  for (const entry of entries) addEntry(tx, run, entry, expiresAt);
  if (entries.length + changes.operations.length > 0 && expiresAt < neverExpires)
    tx.afterCommit(() => ports.outside.keyExpiresAt(expiresAt));
}

/** What the command has made new of one run. */
interface Changes {
  /** As it was before; null for a new run. */
  before: RunRow | null;
  readonly operations: RunAuditRow[];
  readonly steps: StepRow[];
  readonly attempts: AttemptRow[];
  readonly waits: WaitRow[];
}

function changesOf(tx: Transaction, runId: string): Changes {
  const changes: Changes = { before: null, operations: [], steps: [], attempts: [], waits: [] };
  tx.forRows((table, before, row, written) => {
    if (table === runs && (row ?? before)?.['id'] === runId) changes.before = before as RunRow | null;
    if (!written || row === null || row['runId'] !== runId) return;
    if (table === runAudit) changes.operations.push(row as RunAuditRow);
    else if (table === steps && before === null) changes.steps.push(row as StepRow);
    // The end of an attempt takes the place of its start.
    else if (table === attempts && before?.['outcome'] !== row['outcome']) changes.attempts.push(row as AttemptRow);
    // What is to be decided takes the place of what let the attempt start.
    else if (table === waits && before?.['kind'] !== row['kind']) changes.waits.push(row as WaitRow);
  });
  return changes;
}

/** In the order in which a reader would tell it. */
function entriesOf(run: RunRow, changes: Changes): Entry[] {
  const { before } = changes;
  // A restart moves what it forgets to the attempts, and says so in its own entry.
  const isRestart = changes.operations.some(({ type }) => type === 'run.restarted');
  return [
    ...(before === null ? [startOf(run)] : []),
    ...(isRestart ? [] : changes.attempts.map((row) => attemptEntry(row, changes.waits))),
    ...changes.steps.map(stepEntry),
    ...changes.waits.flatMap(waitEntry),
    ...(before?.ending === null && run.ending !== null ? [undoingOf(run)] : []),
    ...(run.endedAt !== null && (before === null || before.endedAt === null) ? [endOf(run)] : []),
  ];
}

function startOf(run: RunRow): Entry {
  const { eventId, eventName, functionVersion, parentRunId, rerunOf } = run;
  const from = { ...(parentRunId !== null && { parentRunId }), ...(rerunOf !== null && { rerunOf }) };
  return { type: 'run.started', payload: { eventId, eventName, functionVersion, ...from } };
}

function attemptEntry(row: AttemptRow, begun: readonly WaitRow[]): Entry {
  const { stepId, name, number, sessionId, error, outcome, fence } = row;
  const worker = sessionId === null ? {} : { worker: sessionId };
  if (stepId === '' && outcome === 'unknown') return { type: 'run.lease_lost', payload: { lease: fence, ...worker } };
  if (outcome === 'unknown') return { type: 'step.started', stepId, payload: { name, attempt: number, ...worker } };
  const next = begun.find((wait) => wait.stepId === stepId && (wait.kind === 'retry' || wait.kind === 'run-retry'));
  const then = next === undefined ? {} : { nextAttempt: next.attempt, nextAttemptAt: timeOf(next.dueAt) };
  const failed = { ...worker, ...(error !== null && { error: errorOf(error) }), ...then };
  if (stepId !== '') return { type: 'step.attempt_failed', stepId, payload: { name, attempt: number, ...failed } };
  return { type: 'run.attempt_failed', payload: { lease: fence, ...failed } };
}

function stepEntry(row: StepRow): Entry {
  const { stepId, name, kind, status, attempt, sessionId, error, childRunId, startedAt, endedAt } = row;
  return {
    type: `step.${status}`,
    stepId,
    payload: {
      ...{ name, kind, attempt, startedAt: timeOf(startedAt), endedAt: timeOf(endedAt) },
      ...(sessionId !== null && { worker: sessionId }),
      ...(childRunId !== null && { childRunId }),
      ...(error !== null && { error: errorOf(error) }),
    },
  };
}

const WAIT_KIND = { sleep: 'sleep', event: 'wait_for_event', any: 'wait_for_any', child: 'invoke' } as const;

function waitEntry({ stepId, name, kind, attempt, dueAt, eventName, childRunId }: WaitRow): Entry[] {
  if (kind === 'decision') return [{ type: 'step.undecided', stepId, payload: { name, attempt } }];
  if (kind === 'retry' || kind === 'run-retry' || kind === 'alternative') return []; // part of another entry
  const payload = {
    ...{ name, kind: WAIT_KIND[kind], until: timeOf(dueAt) },
    ...(eventName !== null && { eventName }),
    ...(childRunId !== null && { childRunId }),
  };
  return [{ type: 'step.waiting', stepId, payload }];
}

function undoingOf(run: RunRow): Entry {
  const ending = endingOf(run);
  return {
    type: 'run.compensating',
    payload: { status: ending?.status, ...(ending && { error: summaryOf(ending.error) }) },
  };
}

/** A cancelled run has the entry of who cancelled it as well, which may be long before. */
function endOf({ status, error }: RunRow): Entry {
  const type = status === 'completed' ? 'run.completed' : status === 'failed' ? 'run.failed' : 'run.stopped';
  return { type, ...(error !== null && { payload: { error: errorOf(error) } }) };
}

const timeOf = (ms: number | null) => (ms === null ? undefined : new Date(ms).toISOString());
const errorOf = (text: string) => summaryOf(JSON.parse(text) as Failure); // as the commands store it
