// Restart: a run that failed, or is paused, goes on from an earlier point of its history.
//   Z1. What is dropped is the step that it goes on from and all that was recorded after it, in the order in which results reached
//       the function; but for steps of the same lease whose bodies had started before that step ended: they cannot depend on it.
//       (By their recorded times, which under one lease do not go back with the worker's clock.)
//   Z2. A step that was compensated is dropped with all after it, and so are the compensations: what was undone is done again.
//   Z3. Every start of a body stays on record: the attempt that ended a dropped step becomes a row of `attempts`, and the step goes
//       on with the next number. Attempts of before count no more against the policy.
//   Z4. Calls that were open when it failed are not made again: the run waits for their children (begin-wait.ts). Where it goes on
//       from a step that was named, children that nobody waits for any more are cancelled, as their calls are made again.

import { LimitError, limits, RunStateError, StepNotFoundError } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded, restartRun } from '../kernel/run.ts';
import { attempts, type RunRow, runs, type StepRow, steps, type WaitRow, waits } from '../store/tables.ts';
import { type Operation, recordOperation, summaryOf } from './audit.ts';
import { cancelRun } from './cancel-run.ts';
import { endPause, existing } from './pause-run.ts';
import type { CommandPorts } from './ports.ts';
import { recordRunAttempt } from './run-attempts.ts';
import { redactedOperation } from './secrets.ts';
import { makeReady } from './start-runs.ts';
import { blankWait } from './waits.ts';

export interface RestartInput extends Operation {
  readonly runId: string;
  /** Id or name of a step. Without it, a failed run goes on from the step that failed it. */
  readonly fromStep?: string | undefined;
  /** `retry` is for failed runs alone, `resume` for paused ones too. */
  readonly how: 'retry' | 'resume';
}

/**
 * Lets a run go on that has failed or is paused.
 * @throws {RunStateError} in any other status; {StepNotFoundError} when there is no such step.
 */
export async function goOn(tx: Transaction, input: RestartInput, ports: CommandPorts): Promise<RunRow> {
  const { runId, fromStep, how } = input;
  const run = await existing(tx, runId, ports);
  if (run.status !== 'failed' && (how === 'retry' || run.pause === null)) throw wrongState(run, how);
  if (run.status === 'running') {
    if (fromStep === undefined) return endPause(tx, run, input, ports);
    throw new RunStateError(
      `Run ${runId} is to be paused, and a worker is still at it. Wait until it is paused to go on from a step.`,
      { runId, details: { runId, status: run.status } },
    );
  }
  if (run.status === 'paused' && fromStep === undefined) return endPause(tx, run, input, ports);
  if (run.ending !== null) {
    throw new RunStateError(
      `Run ${runId} is being undone. Resume it without a step, and retry it when it has failed.`,
      {
        runId,
        details: { runId, status: run.status },
      },
    );
  }
  return restart(tx, run, input, ports);
}

function wrongState({ id: runId, status }: RunRow, how: 'retry' | 'resume'): RunStateError {
  const which = how === 'retry' ? 'A run that failed can be retried' : 'A run that failed or is paused can be resumed';
  const instead =
    status === 'completed' || status === 'cancelled'
      ? 'Rerun it to have it executed again as a new run.'
      : status === 'paused'
        ? 'Resume it.'
        : 'It goes on by itself.';
  return new RunStateError(`Run ${runId} is ${status}. ${which}. ${instead}`, { runId, details: { runId, status } });
}

/** A point of the history: results before it stay. `endedAt` and `fence` tell which bodies ran beside it (Z1). */
interface Cut {
  readonly place: Place;
  readonly step: StepRow | undefined;
  /** Whether the step itself stays, and only what follows is dropped. */
  readonly keepsStep: boolean;
}

interface Place {
  readonly wake: number;
  readonly sequence: number;
}

const byPlace = (a: Place, b: Place) => a.wake - b.wake || a.sequence - b.sequence;
const ALL = { limit: Number.MAX_SAFE_INTEGER };

async function restart(tx: Transaction, before: RunRow, input: RestartInput, ports: CommandPorts): Promise<RunRow> {
  const { runId, fromStep } = input;
  const { actor, reason } = await redactedOperation(tx, before, input, ports);
  const [stepRows, waitRows, attemptRows] = await Promise.all([
    tx.scan({ table: steps, prefix: [runId], ...ALL }),
    tx.scan({ table: waits, prefix: [runId], ...ALL }),
    tx.scan({ table: attempts, prefix: [runId], ...ALL }),
  ]);
  const recorded = stepRows.toSorted(byPlace);
  const wanted =
    fromStep === undefined
      ? cutOfFailure(before, recorded)
      : cutAt(fromStep, before, recorded, waitRows, new Set(attemptRows.map(({ stepId }) => stepId)));
  const { cut, undone } = cutOfCompensated(wanted, recorded);
  const dropped = cut === undefined ? [] : recorded.filter((row) => isDropped(row, cut, undone));
  if (dropped.length > limits.stepsPerRestartMax) {
    throw new LimitError(
      `The restart would drop ${dropped.length} steps of run ${runId}; at most ${limits.stepsPerRestartMax} may be dropped. Go on from a later step, or rerun the run.`,
      { details: { limit: 'stepsPerRestartMax', value: limits.stepsPerRestartMax } },
    );
  }

  if (before.status === 'failed' && (await tx.get(attempts, [runId, '', before.fence])) === null)
    recordFailure(tx, before);
  const wakes = before.wakes + 1;
  for (const row of dropped) {
    tx.delete(steps, [runId, row.stepId]);
    if (hasBody(row) && (await tx.get(attempts, [runId, row.stepId, row.attempt])) === null) recordDropped(tx, row);
  }
  const goneWaits = cut === undefined ? [] : waitRows.filter((wait) => isGivenUp(wait, cut));
  for (const { stepId, childRunId } of goneWaits) {
    tx.delete(waits, [runId, stepId]);
    if (childRunId !== null) await giveUpChild(tx, runId, childRunId, actor, ports);
  }
  if (before.status === 'failed' && fromStep !== undefined) await giveUpChildren(tx, before, recorded, actor, ports);
  const gone = new Set(goneWaits.map(({ stepId }) => stepId));
  const left = waitRows.filter(({ stepId }) => !gone.has(stepId));
  const settled = new Set([...recorded.filter((row) => !dropped.includes(row)), ...left].map(({ stepId }) => stepId));
  const triedSteps = [...attemptRows, ...dropped.filter(hasBody).map((row) => ({ ...row, number: row.attempt }))];
  for (const next of nextAttempts(triedSteps, settled)) {
    tx.insert(waits, {
      ...blankWait,
      runId,
      env: before.env,
      stepId: next.stepId,
      name: next.name,
      kind: 'retry',
      attempt: next.number,
      resolution: wakes,
      failable: true,
      wake: wakes,
      sequence: 0,
      createdAt: tx.now,
    });
  }

  const definition = await ports.functions.version(tx, before.env, before.functionId, before.functionVersion);
  const openWaits = left.filter(({ resolution }) => resolution === null).length;
  const retryAt = left.find(({ kind }) => kind === 'run-retry');
  if (retryAt !== undefined) tx.delete(waits, [runId, retryAt.stepId]);
  const run = restartRun(
    { ...before, wakes, openWaits: openWaits - (retryAt === undefined ? 0 : 1) },
    { policyAttempts: definition?.retry.maxAttempts ?? 1, takesUp: fromStep === undefined },
    tx.now,
  );
  recordOperation(tx, before, {
    type: 'run.restarted',
    actor,
    reason,
    ...(cut?.step && { stepId: cut.step.stepId }),
    payload: {
      status: before.status,
      ...(fromStep !== undefined && { fromStep }),
      ...(before.error !== null && { error: summaryOf(JSON.parse(before.error) as Failure) }),
      droppedCount: dropped.length,
      dropped: dropped.slice(0, 1_000).map(({ stepId }) => stepId),
    },
  });
  const ready = await makeReady(tx, run, ports);
  tx.update(runs, ready);
  return ready;
}

/** Recorded by a worker; the engine records waits, and messages that are published, under no lease. */
const hasBody = ({ fence }: StepRow) => fence > 0;

/** Where a failed run goes on by itself: at the step that its error names, or at the failed ones that were recorded last. */
function cutOfFailure(run: RunRow, recorded: readonly StepRow[]): Cut | undefined {
  const { details } = JSON.parse(run.error ?? '{}') as Partial<Failure>;
  const named = recorded.find(({ stepId }) => stepId === details?.['stepId']);
  if (named !== undefined) {
    const patched = named.status === 'completed' && named.patchedAt !== null;
    if (named.status !== 'completed' || patched) return { place: named, step: named, keepsStep: patched };
  }
  const lastGood = recorded.findLastIndex(({ status, kind }) => status === 'completed' && kind !== 'compensate');
  const first = recorded[lastGood + 1];
  return first === undefined ? undefined : { place: first, step: first, keepsStep: false };
}

function cutAt(
  step: string,
  run: RunRow,
  recorded: readonly StepRow[],
  waitRows: readonly WaitRow[],
  tried: ReadonlySet<string>,
): Cut | undefined {
  const isIt = ({ stepId, name }: { readonly stepId: string; readonly name: string }) =>
    stepId === step || name === step;
  const found = recorded.find(isIt);
  if (found !== undefined) return { place: found, step: found, keepsStep: false };
  const wait = waitRows.filter(({ kind }) => kind !== 'run-retry').find(isIt);
  if (wait !== undefined) return { place: wait, step: undefined, keepsStep: false };
  // By the published contract a step that failed is not recorded: it runs again as it is.
  const unrecorded = [...tried].some((stepId) => stepId === step || stepId.startsWith(`${run.id}:${step}:`));
  if (unrecorded) return undefined;
  throw new StepNotFoundError(step, { runId: run.id });
}

/** What was undone has to be done again, so the run goes on from the first step that was compensated, if that is earlier. */
function cutOfCompensated(
  cut: Cut | undefined,
  recorded: readonly StepRow[],
): { readonly cut: Cut | undefined; readonly undone: ReadonlySet<string> } {
  const undone = new Set(
    recorded.filter(({ kind }) => kind === 'compensate').map(({ name }) => name.replace(/^compensate:/, '')),
  );
  const first = recorded.find(({ name, kind }) => kind !== 'compensate' && undone.has(name));
  if (first === undefined || (cut !== undefined && byPlace(cut.place, first) <= 0)) return { cut, undone };
  return { cut: { place: first, step: first, keepsStep: false }, undone };
}

function isDropped(row: StepRow, { place, step, keepsStep }: Cut, undone: ReadonlySet<string>): boolean {
  const order = byPlace(row, place);
  if (order < 0) return false;
  if (row.stepId === step?.stepId) return !keepsStep;
  if (row.kind === 'compensate' || undone.has(row.name)) return true;
  if (step === undefined || !hasBody(step) || !hasBody(row) || step.fence !== row.fence) return true;
  return row.startedAt >= step.endedAt; // Z1
}

/** Waits that began after the cut. Attempts to come stay: their steps are not on record, and come to them again. */
function isGivenUp(wait: WaitRow, { place }: Cut): boolean {
  return wait.kind !== 'retry' && wait.kind !== 'run-retry' && byPlace(wait, place) >= 0;
}

/** The attempt of the whole run that was its last; those before it are on record already. */
function recordFailure(tx: Transaction, run: RunRow): void {
  const { error, endedAt } = run;
  recordRunAttempt(tx, run, { sessionId: null, outcome: 'failed', error, startedAt: null, endedAt: endedAt ?? tx.now });
}

function recordDropped(tx: Transaction, row: StepRow): void {
  tx.insert(attempts, {
    runId: row.runId,
    stepId: row.stepId,
    number: row.attempt,
    name: row.name,
    fence: row.fence,
    sessionId: null,
    outcome: row.status === 'completed' ? 'dropped' : 'failed',
    error: row.error,
    startedAt: row.startedAt,
    endedAt: row.endedAt,
  });
}

/** The attempts that steps without a result go on with (Z3). */
function nextAttempts(
  tried: readonly { readonly stepId: string; readonly name: string; readonly number: number }[],
  settled: ReadonlySet<string>,
): { readonly stepId: string; readonly name: string; readonly number: number }[] {
  const next = new Map<string, { stepId: string; name: string; number: number }>();
  for (const { stepId, name, number } of tried) {
    if (stepId === '' || settled.has(stepId)) continue;
    if (number >= (next.get(stepId)?.number ?? 0)) next.set(stepId, { stepId, name, number: number + 1 });
  }
  return [...next.values()];
}

/** Children that a failed run no longer waited for, and whose calls may be made again. */
async function giveUpChildren(
  tx: Transaction,
  run: RunRow,
  recorded: readonly StepRow[],
  actor: string,
  ports: CommandPorts,
): Promise<void> {
  const children = await tx.scan({ table: runs, index: 'byParent', prefix: [run.id], ...ALL });
  const told = new Set(recorded.map(({ stepId }) => stepId));
  for (const { id, parentStepId } of children)
    if (!told.has(parentStepId ?? '')) await giveUpChild(tx, run.id, id, actor, ports);
}

async function giveUpChild(
  tx: Transaction,
  parentId: string,
  childRunId: string,
  actor: string,
  ports: CommandPorts,
): Promise<void> {
  const child = await tx.get(runs, [childRunId]);
  if (child === null || isEnded(child)) return;
  await cancelRun(
    tx,
    { runId: childRunId, actor, reason: `run ${parentId} was restarted and does not wait for it` },
    ports,
  );
}
