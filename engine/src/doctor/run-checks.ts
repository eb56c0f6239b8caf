// What must hold of a run together with its waits, steps and lease. Each check is of rows as they were at one moment.

import { isEnded, restRun } from '../kernel/run.ts';
import { type RunRow, runs, type WaitRow, waits } from '../store/tables.ts';
import { type Finding, isJson } from './finding.ts';
import { LATE_MS, nameOf, patch, type RunPicture, requeue, reread, seconds, waitName } from './run-picture.ts';
import { examineSteps } from './step-checks.ts';
import { examineWait } from './wait-checks.ts';

export function examineRun(picture: RunPicture, now: number): Finding[] {
  const { run } = picture;
  return [
    ...examineRow(run),
    ...(isEnded(run) ? examineEnded(picture) : examineOpen(picture, now)),
    ...examineSteps(picture),
  ];
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

/** Whether it can come to pass without the run itself. */
function isWakeUp({ kind, dueAt, resolution }: WaitRow): boolean {
  return resolution === null && (dueAt !== null || kind === 'event' || kind === 'child' || kind === 'decision');
}
