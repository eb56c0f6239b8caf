// What must hold of a run together with its waits, steps and lease. Each check is of rows as they were at one moment.

import { failRun, settleWait } from '../commands/end-run.ts';
import { isStepped, type SteppedWait } from '../commands/waits.ts';
import type { Transaction } from '../group-commit/index.ts';
import { isEnded, queueRun, restRun } from '../kernel/run.ts';
import {
  matchPaths,
  type RunRow,
  runs,
  type SessionRow,
  type StepRow,
  steps,
  type WaitRow,
  waits,
} from '../store/tables.ts';
import { type Finding, isJson, rowName } from './finding.ts';

/** A run with all that hangs on it. */
export interface RunPicture {
  readonly run: RunRow;
  readonly waits: readonly WaitRow[];
  readonly steps: readonly StepRow[];
  /** The session that holds its lease. */
  readonly session: SessionRow | null;
  /** Runs that its waits are for, by id. */
  readonly children: ReadonlyMap<string, RunRow | null>;
  /** Its waits for events of which no event would know to look. */
  readonly unlistedWaits: readonly WaitRow[];
}

/** How late the engine may be before something is wrong, in milliseconds. */
const LATE_MS = 60_000;

export function examineRun(picture: RunPicture, now: number): Finding[] {
  const { run } = picture;
  return [
    ...examineRow(run),
    ...(isEnded(run) ? examineEnded(picture) : examineOpen(picture, now)),
    ...examineSteps(picture),
  ];
}

const nameOf = (run: RunRow) => rowName(runs, [run.id]);
const waitName = ({ runId, stepId }: WaitRow) => rowName(waits, [runId, stepId]);
const stepName = ({ runId, stepId }: StepRow) => rowName(steps, [runId, stepId]);

/** Reads the run again, for a repair: null when there is nothing to repair any more. */
async function reread(tx: Transaction, before: RunRow): Promise<RunRow | null> {
  const run = await tx.get(runs, [before.id]);
  return run !== null && run.fence === before.fence && run.status === before.status ? run : null;
}

function patch(before: RunRow, change: (run: RunRow) => Partial<RunRow>): NonNullable<Finding['apply']> {
  return async (tx) => {
    const run = await reread(tx, before);
    if (run !== null) tx.update(runs, { ...run, ...change(run), updatedAt: tx.now });
  };
}

/** A run that replays comes to where it was: queueing one that nothing would wake is always safe. */
function requeue(before: RunRow): NonNullable<Finding['apply']> {
  return async (tx, ports) => {
    const run = await reread(tx, before);
    if (run === null) return;
    const left = await tx.scan({ table: waits, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
    const openWaits = left.filter(({ resolution }) => resolution === null).length;
    tx.update(runs, queueRun({ ...run, openWaits, retryAt: null }, tx.now));
    const { env, functionId, functionVersion: version } = run;
    tx.afterCommit(() => ports.outside.queued({ env, functionId, version }));
  };
}

/** What one row of `runs` says of itself. */
function examineRow(run: RunRow): Finding[] {
  const found: Finding[] = [];
  const rows = [nameOf(run)];
  if (run.readyAt !== null && run.status !== 'queued') {
    found.push({
      check: 'ready-but-not-queued',
      rows,
      message: `The run is ${run.status} and offered to workers as well: two could execute it.`,
      repair: 'withdraw the offer',
      apply: patch(run, () => ({ readyAt: null })),
    });
  }
  if (run.status !== 'running' && (run.leaseSession !== null || run.deadlineAt !== null)) {
    found.push({
      check: 'lease-on-idle-run',
      rows,
      message: `The run is ${run.status} and still has a lease: it counts against a worker and will be timed out.`,
      repair: 'remove the lease',
      apply: patch(run, () => ({ leaseSession: null, leaseToken: null, leasedAt: null, deadlineAt: null })),
    });
  }
  if (isEnded(run) !== (run.endedAt !== null)) {
    found.push({
      check: 'end-time',
      rows,
      message: isEnded(run)
        ? 'The run has ended and has no time of its end: its retention would never pass.'
        : 'The run has not ended and has a time of its end: retention could remove it.',
      repair: isEnded(run) ? 'take the time of its last change' : 'remove the time',
      apply: patch(run, ({ updatedAt }) => ({ endedAt: isEnded(run) ? updatedAt : null })),
    });
  }
  if (run.status === 'completed' && (run.error !== null || run.output === null)) {
    found.push({
      check: 'end-without-result',
      rows,
      message: 'The run completed and has no output, or an error: what it came to is not known.',
    });
  }
  if ((run.status === 'failed' || run.status === 'cancelled') && (run.error === null || run.output !== null)) {
    found.push({
      check: 'end-without-result',
      rows,
      message: `The run ${run.status === 'failed' ? 'failed' : 'was cancelled'} and has no error, or an output: what it came to is not known.`,
    });
  }
  for (const [column, text] of [
    ['output', run.output],
    ['error', run.error],
    ['input', run.input],
    ['ending', run.ending],
  ] as const) {
    if (text !== null && !isJson(text))
      found.push({ check: 'unreadable-json', rows, message: `Its ${column} is not JSON: nobody can read it.` });
  }
  return found;
}

function examineEnded({ run, waits: open }: RunPicture): Finding[] {
  const ending: Finding = {
    check: 'ending-of-ended-run',
    rows: [nameOf(run)],
    message: `The run is ${run.status}, and is said to be undone before it ends: a restart would undo it again.`,
    repair: 'remove the ending',
    apply: patch(run, () => ({ ending: null })),
  };
  return [...(run.ending === null ? [] : [ending]), ...open.map(waitOfEnded(run))];
}

function waitOfEnded(run: RunRow): (wait: WaitRow) => Finding {
  return (wait) => ({
    check: 'wait-of-ended-run',
    rows: [waitName(wait), nameOf(run)],
    message: `The run is ${run.status}, and something still waits in its name.`,
    repair: 'delete the wait',
    apply: async (tx) => {
      const current = await tx.get(runs, [run.id]);
      if (current !== null && isEnded(current) && (await tx.get(waits, [wait.runId, wait.stepId])) !== null)
        tx.delete(waits, [wait.runId, wait.stepId]);
    },
  });
}

function examineOpen(picture: RunPicture, now: number): Finding[] {
  const { run, session } = picture;
  const found: Finding[] = [];
  const rows = [nameOf(run)];
  const open = picture.waits.filter(({ resolution }) => resolution === null);
  if (run.status === 'queued' && run.readyAt === null) {
    found.push({
      check: 'no-wake-up',
      rows,
      message: 'The run is queued and not offered to any worker: it would stay there for ever.',
      repair: 'offer it again',
      apply: requeue(run),
    });
  }
  if (run.status === 'waiting' && !open.some(isWakeUp)) {
    found.push({
      check: 'no-wake-up',
      rows,
      message: 'The run waits, and for nothing that could come: it would stay there for ever.',
      repair: 'queue it, so that it comes to what it waits for again',
      apply: requeue(run),
    });
  }
  if (run.status === 'paused' && run.pause === null) {
    found.push({
      check: 'no-wake-up',
      rows,
      message: 'The run is paused and nobody is on record for it: it would stay there, and nothing would say why.',
      repair: 'queue it, so that it comes to where it was again',
      apply: requeue(run),
    });
  }
  if (run.pause !== null && run.status !== 'paused' && run.status !== 'running') {
    found.push({
      check: 'pause-not-kept',
      rows,
      message: `Somebody paused the run, and it is ${run.status}: it would go on all the same.`,
      repair: 'pause it',
      apply: async (tx) => {
        const current = await reread(tx, run);
        if (current !== null && current.pause !== null) tx.update(runs, restRun(current, tx.now));
      },
    });
  }
  if (run.status === 'running' && (run.leaseSession === null || run.deadlineAt === null || run.leaseToken === null)) {
    found.push({
      check: 'no-wake-up',
      rows,
      message: 'The run is being executed by nobody: its lease is incomplete, and nothing would end it.',
      repair: 'queue it again',
      apply: requeue(run),
    });
  } else if (run.status === 'running' && session === null) {
    found.push({
      check: 'lease-of-nobody',
      rows,
      message: `Its lease belongs to ${run.leaseSession}, which is not registered: nothing would end the lease before its timeout.`,
      repair: 'queue it again',
      apply: requeue(run),
    });
  } else if (run.status === 'running' && session !== null && session.expired && session.expiresAt === null) {
    found.push({
      check: 'lease-of-expired-session',
      rows: [...rows, `sessions ${JSON.stringify(session.id)}`],
      message: `Its lease belongs to ${session.id}, whose leases have all been taken from it: nothing would end this one.`,
      repair: 'queue it again',
      apply: requeue(run),
    });
  }
  if (run.status === 'running' && run.deadlineAt !== null && run.deadlineAt < now - LATE_MS) {
    found.push({
      check: 'overdue-deadline',
      rows,
      message: `Its execution should have been timed out ${seconds(now - run.deadlineAt)} ago. Is an engine running, and is its clock right?`,
    });
  }
  if (open.length !== run.openWaits) {
    found.push({
      check: 'open-waits-count',
      rows: [...rows, ...open.map(waitName)],
      message: `The run counts ${run.openWaits} open waits and has ${open.length}: it would be parked, or not, by the wrong number.`,
      repair: 'count again',
      apply: async (tx) => {
        const current = await reread(tx, run);
        if (current === null) return;
        const left = await tx.scan({ table: waits, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
        tx.update(runs, { ...current, openWaits: left.filter(({ resolution }) => resolution === null).length });
      },
    });
  }
  const newest = Math.max(
    0,
    ...picture.steps.map(({ resolution }) => resolution ?? 0),
    ...picture.waits.map(({ resolution }) => resolution ?? 0),
  );
  if (newest > run.wakes) {
    found.push({
      check: 'wakes-count',
      rows,
      message: `The run counts ${run.wakes} waits that were met, and one of them is number ${newest}: a worker would not be told of it.`,
      repair: 'count again',
      apply: patch(run, ({ wakes }) => ({ wakes: Math.max(wakes, newest) })),
    });
  }
  return [...found, ...open.flatMap((wait) => examineWait(wait, picture, now))];
}

function examineWait(
  wait: WaitRow,
  { run, waits: open, steps: done, children, unlistedWaits }: RunPicture,
  now: number,
): Finding[] {
  const found: Finding[] = [];
  const rows = [waitName(wait), nameOf(run)];
  if (done.some(({ stepId }) => stepId === wait.stepId)) {
    found.push({
      check: 'wait-of-finished-step',
      rows: [...rows, rowName(steps, [wait.runId, wait.stepId])],
      message: 'The step has ended, and is waited for as well: it would end twice.',
      repair: 'delete the wait',
      apply: async (tx) => {
        const current = await tx.get(runs, [run.id]);
        const left = await tx.get(waits, [wait.runId, wait.stepId]);
        if (current === null || left === null || (await tx.get(steps, [wait.runId, wait.stepId])) === null) return;
        tx.delete(waits, [wait.runId, wait.stepId]);
        tx.update(runs, { ...current, openWaits: Math.max(0, current.openWaits - 1) });
      },
    });
    return found;
  }
  if (wait.dueAt === null && (wait.kind === 'sleep' || wait.kind === 'retry' || wait.kind === 'run-retry')) {
    found.push({
      check: 'wait-without-time',
      rows,
      message: `A ${wait.kind === 'sleep' ? 'sleep' : 'retry'} without a time would never be over.`,
      repair: 'let it be over now',
      apply: async (tx, ports) => {
        const left = await tx.get(waits, [wait.runId, wait.stepId]);
        if (left === null || left.dueAt !== null || left.resolution !== null) return;
        tx.update(waits, { ...left, dueAt: tx.now });
        tx.afterCommit(() => ports.outside.waitDueAt(wait.runId, tx.now));
      },
    });
  }
  if (wait.dueAt !== null && wait.dueAt < now - LATE_MS) {
    found.push({
      check: 'overdue-timer',
      rows,
      message: `It was due ${seconds(now - wait.dueAt)} ago. Is an engine running, and is its clock right?`,
    });
  }
  if (unlistedWaits.includes(wait)) {
    found.push({
      check: 'wait-not-listed',
      rows,
      message: `Events "${wait.eventName}" would not be compared at "${wait.matchPath}": they would pass this wait by.`,
      repair: 'list what is compared',
      apply: async (tx) => {
        const { env, eventName, matchPath: path } = wait;
        if (eventName !== null && (await tx.get(matchPaths, [env, eventName, path])) === null)
          tx.insert(matchPaths, { env, eventName, path });
      },
    });
  }
  if (wait.kind === 'alternative' && !open.some(({ stepId }) => stepId === wait.anyOf)) {
    found.push({
      check: 'alternative-of-nothing',
      rows,
      message: `It is one of several events that ${wait.anyOf} waits for, and that step waits no more: an event would meet it in vain.`,
      repair: 'delete it',
      apply: async (tx) => {
        const current = await tx.get(runs, [run.id]);
        const left = await tx.get(waits, [wait.runId, wait.stepId]);
        if (current === null || left === null || (await tx.get(waits, [wait.runId, wait.anyOf ?? ''])) !== null) return;
        tx.delete(waits, [wait.runId, wait.stepId]);
        tx.update(runs, { ...current, openWaits: Math.max(0, current.openWaits - 1) });
      },
    });
  }
  if (wait.kind === 'child' && isStepped(wait)) {
    const child = children.get(wait.childRunId ?? '') ?? null;
    if (child === null || isEnded(child)) found.push(endedChild(wait, run, child));
  }
  return found;
}

function endedChild(wait: SteppedWait, run: RunRow, child: RunRow | null): Finding {
  return {
    check: 'child-has-ended',
    rows: [waitName(wait), nameOf(run), ...(child === null ? [] : [nameOf(child)])],
    message:
      child === null
        ? `It waits for run ${wait.childRunId}, which is not stored: nothing would end the wait before its timeout.`
        : `It waits for run ${child.id}, which is ${child.status}: the run was not told.`,
    repair: child?.status === 'completed' ? 'give it the output' : 'let the step fail',
    apply: async (tx, ports) => {
      const [current, left] = [await tx.get(runs, [run.id]), await tx.get(waits, [wait.runId, wait.stepId])];
      if (current === null || left === null || !isStepped(left) || isEnded(current)) return;
      const ended = await tx.get(runs, [wait.childRunId ?? '']);
      if (ended !== null && !isEnded(ended)) return;
      if (ended?.status === 'completed') {
        await settleWait(tx, current, left, { status: 'completed', output: ended.output ?? ('null' as never) }, ports);
        return;
      }
      const error = {
        name: 'InvokeError',
        code: 'INVOKE_FAILED',
        retryable: false,
        message: `Function "${wait.functionId}" ${ended === null ? 'left no run' : `ended as ${ended.status}`}.`,
        details: { functionId: wait.functionId, childRunId: wait.childRunId },
      };
      if (left.failable) await settleWait(tx, current, left, { status: 'failed', error }, ports);
      else await failRun(tx, current, error, ports);
    },
  };
}

function examineSteps({ run, steps: done }: RunPicture): Finding[] {
  const found: Finding[] = [];
  const places = new Map<string, StepRow>();
  for (const step of done) {
    const rows = [stepName(step)];
    if ((step.status === 'completed') === (step.error !== null)) {
      found.push({
        check: 'step-without-result',
        rows,
        message: `The step is ${step.status} and has ${step.error === null ? 'no error' : 'an error'}: a replay would not know what to return.`,
      });
    }
    for (const [column, text] of [
      ['output', step.output],
      ['error', step.error],
    ] as const) {
      if (text !== null && !isJson(text))
        found.push({
          check: 'unreadable-json',
          rows,
          message: `Its ${column} is not JSON: its run cannot be replayed.`,
        });
    }
    if (step.fence > run.fence) {
      found.push({
        check: 'step-beyond-fence',
        rows: [...rows, nameOf(run)],
        message: `It was recorded under lease ${step.fence}, and the run has had ${run.fence}: the fence has gone back.`,
        repair: 'put the fence forward',
        apply: patch(run, ({ fence }) => ({ fence: Math.max(fence, step.fence) })),
      });
    }
    const place = `${step.wake} ${step.sequence}`;
    const other = places.get(place);
    if (other !== undefined && step.fence > 0 && other.fence === step.fence) {
      found.push({
        check: 'steps-in-one-place',
        rows: [stepName(other), ...rows],
        message: 'Two steps have the same place in the order in which results reached the function.',
      });
    }
    places.set(place, step);
  }
  return found;
}

/** Whether it can come to pass without the run itself. */
function isWakeUp({ kind, dueAt, resolution }: WaitRow): boolean {
  return resolution === null && (dueAt !== null || kind === 'event' || kind === 'child' || kind === 'decision');
}

const seconds = (ms: number) => `${Math.round(ms / 1_000)} s`;
