import { FunctionNotFoundError, type JsonText, jsonNull } from '@ironflow/core';
import type { Transaction } from '../group-commit/index.ts';
import { eventWithInput } from '../kernel/job-event.ts';
import { type EventRow, events } from '../store/tables.ts';
import { type Operation, recordOperation } from './audit.ts';
import { existing } from './pause-run.ts';
import type { CommandPorts } from './ports.ts';
import { operatorRedactor, redactedOperation } from './secrets.ts';
import { startRun } from './start-runs.ts';

/**
 * Starts another run of the same function for the same event, or for other data in the event's place. It has the function's newest
 * version, and belongs to no parent. @returns its id.
 * @throws {FunctionNotFoundError} when the function is not registered any more.
 */
export async function rerunRun(
  tx: Transaction,
  { runId, input, ...asked }: { readonly runId: string; readonly input: JsonText | undefined } & Operation,
  ports: CommandPorts,
): Promise<string> {
  const run = await existing(tx, runId, ports);
  const fn = (await ports.functions.current(tx, run.env)).get(run.functionId);
  if (fn === undefined) throw new FunctionNotFoundError(run.functionId);
  const { actor, reason } = await redactedOperation(tx, run, asked, ports);
  // By what it declares now: that is what the new run is given.
  const redactor = await operatorRedactor(tx, { ...run, functionVersion: fn.version }, ports);
  const given = input === undefined ? run.input : redactor.json(input);
  // Its assignment reads the event, and puts the input in the place of the data. Attributes may be of either.
  const stored = fn.definition.attributes === undefined ? undefined : await storedEvent(tx, run.eventId);
  const event = eventWithInput(run, given ?? stored?.data ?? jsonNull, stored);
  const rerunId = await startRun(tx, { env: run.env, fn, event, input: given, parent: null, rerunOf: runId }, ports);
  const payload = { rerun: rerunId, editedInput: input !== undefined };
  recordOperation(tx, run, { type: 'run.rerun', actor, reason, payload });
  return rerunId;
}

/** Undefined for a run that was invoked: its event is none of the log's. */
async function storedEvent(tx: Transaction, eventId: string): Promise<EventRow | undefined> {
  return (await tx.scan({ table: events, index: 'byId', prefix: [eventId], limit: 1 }))[0];
}
