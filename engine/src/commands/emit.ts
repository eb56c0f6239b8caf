import { encodeJson, IronflowError, type JsonText, LimitError, limits } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { events, idempotencyKeys } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { startRun } from './start-runs.ts';

export interface EmitInput {
  readonly env: string;
  readonly name: string;
  readonly data: JsonText;
  readonly version: number;
  readonly metadata: JsonText | null;
  readonly idempotencyKey: string | null;
  readonly source: string | null;
  /** The run that emits, if one does. */
  readonly runId: string | null;
}

export interface EmitResult {
  readonly eventId: string;
  readonly runIds: readonly string[];
}

/** Appends an event to its environment's log and starts a run of every function that it triggers, in one commit. */
export async function emit(tx: Transaction, input: EmitInput, ports: CommandPorts): Promise<EmitResult> {
  const { env, idempotencyKey } = input;
  if (idempotencyKey !== null) {
    const earlier = await tx.get(idempotencyKeys, [env, 'emit', idempotencyKey]);
    if (earlier !== null && earlier.expiresAt > tx.now) return JSON.parse(earlier.outcome) as EmitResult; // as stored below
  }

  const event: JobEvent = {
    id: tx.newId('evt'),
    name: input.name,
    version: input.version,
    data: { text: input.data },
    timestamp: tx.now,
    ...(input.source !== null && { source: input.source }),
    ...(input.metadata !== null && { metadata: { text: input.metadata } }),
  };
  tx.append(events, {
    env,
    id: event.id,
    name: input.name,
    version: input.version,
    data: input.data,
    metadata: input.metadata,
    source: input.source,
    runId: input.runId,
    createdAt: tx.now,
  });

  const started = (await ports.functions.current(tx, env)).matching(event);
  if (started.length > limits.runsPerEventMax) {
    throw new LimitError(
      `Event "${input.name}" would start ${started.length} functions; at most ${limits.runsPerEventMax} may listen to one event.`,
      { details: { limit: 'runsPerEventMax', value: limits.runsPerEventMax } },
    );
  }
  const runIds: string[] = [];
  for (const fn of started) runIds.push(await startRun(tx, { env, fn, event, input: null, parent: null }, ports));
  const result: EmitResult = { eventId: event.id, runIds };
  if (idempotencyKey !== null) await keepOutcome(tx, env, idempotencyKey, result, ports);
  tx.afterCommit(([position]) => {
    if (position === undefined) throw new IronflowError('an appended event has a position', { code: 'INTERNAL_ERROR' });
    ports.outside.eventAppended(env, position, event);
  });
  return result;
}

async function keepOutcome(
  tx: Transaction,
  env: string,
  key: string,
  result: EmitResult,
  ports: CommandPorts,
): Promise<void> {
  const row = {
    env,
    scope: 'emit',
    key,
    outcome: encodeJson(result, 'outcome of an emit'),
    expiresAt: tx.now + ports.settings.idempotencyRetentionMs,
  };
  const expired = await tx.get(idempotencyKeys, [env, 'emit', key]);
  if (expired === null) tx.insert(idempotencyKeys, row);
  else tx.update(idempotencyKeys, row);
  tx.afterCommit(() => ports.outside.keyExpiresAt(row.expiresAt));
}
