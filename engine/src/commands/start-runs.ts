import type { JsonText } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import type { RegisteredFunction } from '../kernel/function-definition.ts';
import { createRun, leaseRun, queueRun } from '../kernel/run.ts';
import { events, type RunRow, runs } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { keepAttributes } from './run-attributes.ts';
import { isSessionAlive } from './sessions.ts';

export interface StartRunInput {
  readonly env: string;
  readonly fn: RegisteredFunction;
  /** With its data, where the function declares attributes. */
  readonly event: JobEvent;
  /** Set when the data is not stored as an event: the run was invoked. */
  readonly input: JsonText | null;
  readonly parent: { readonly runId: string; readonly stepId: string } | null;
  /** The run that this is another go of. */
  readonly rerunOf?: string;
}

/** Creates a run, leased at once where a worker has room, queued otherwise. Returns its id. */
export async function startRun(
  tx: Transaction,
  { env, fn, event, input, parent, rerunOf }: StartRunInput,
  ports: CommandPorts,
): Promise<string> {
  const { definition, version } = fn;
  const run = createRun(
    {
      id: tx.newId('run'),
      env,
      functionId: definition.id,
      functionVersion: version,
      maxAttempts: definition.retry.maxAttempts,
      eventId: event.id,
      eventName: event.name,
      input,
      parent,
      rerunOf,
    },
    tx.now,
  );
  await keepAttributes(tx, run, { definition, event }, ports);
  const known = rerunOf === undefined ? event : undefined;
  const ready = await handOver(tx, run, definition.timeoutMs, known, ports);
  tx.insert(runs, ready, { column: 'logPosition', log: events, partition: [env] });
  return run.id;
}

/** Queues a run that can make progress again, or leases it at once where a worker has room. Returns the row to write. */
export async function makeReady(tx: Transaction, run: RunRow, ports: CommandPorts): Promise<RunRow> {
  const definition = await ports.functions.version(tx, run.env, run.functionId, run.functionVersion);
  return handOver(tx, queueRun(run, tx.now), definition?.timeoutMs ?? 0, undefined, ports);
}

async function handOver(
  tx: Transaction,
  run: RunRow,
  timeoutMs: number,
  event: JobEvent | undefined,
  { outside }: CommandPorts,
): Promise<RunRow> {
  if (run.status !== 'queued') return run; // it is paused
  const queue = { env: run.env, functionId: run.functionId, version: run.functionVersion };
  const reservation = outside.reserve(queue, run.id);
  if (reservation === undefined) {
    tx.afterCommit(() => outside.queued(queue));
    return run;
  }
  tx.onDiscard(() => reservation.release());
  if (!(await isSessionAlive(tx, reservation.sessionId))) {
    tx.afterCommit(() => {
      outside.sessionExpired(reservation.sessionId);
      reservation.release();
      outside.queued(queue);
    });
    return run;
  }
  const leased = leaseRun(run, { sessionId: reservation.sessionId, token: tx.newToken() }, timeoutMs, tx.now);
  tx.afterCommit(() => {
    if (leased.deadlineAt !== null) outside.deadlineAt(leased.id, leased.deadlineAt);
    outside.leased(reservation, leased, event);
  });
  return leased;
}
