// What must hold of a wait of an open run.

import { failRun, settleWait } from '../commands/end-run.ts';
import { isStepped, type SteppedWait } from '../commands/waits.ts';
import { isEnded } from '../kernel/run.ts';
import { matchPaths, type RunRow, runs, steps, type WaitRow, waits } from '../store/tables.ts';
import { type Finding, rowName } from './finding.ts';
import { LATE_MS, nameOf, type RunPicture, seconds, waitName } from './run-picture.ts';

export function examineWait(
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
