// Attributes of runs: found once, when a run starts, and written in the commit that starts it.
//   B1. A run has the attributes that its event has at the places its function's version declares; a restart changes none.
//   B2. A value of a secret that the function declares is not in them.
//   B3. Functions that declare none pay nothing: their definition, which is in memory, says so, and their event is not parsed.

import { attributesAt } from '@ironflow/core';
import type { FunctionDefinition, JobEvent } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { matchable } from '../kernel/job-event.ts';
import { type RunRow, runAttributes } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';
import { redactorOf } from './secrets.ts';

export async function keepAttributes(
  tx: Transaction,
  run: RunRow,
  { definition, event }: { readonly definition: FunctionDefinition; readonly event: JobEvent },
  ports: CommandPorts,
): Promise<void> {
  if (definition.attributes === undefined) return;
  const redactor = definition.secrets === undefined ? undefined : await redactorOf(tx, run, ports);
  const found = attributesAt(matchable(event), definition.attributes, redactor && ((text) => redactor.text(text)));
  for (const [name, value] of found) tx.insert(runAttributes, { runId: run.id, name, env: run.env, value });
}

/** Deletes what a run has of them, with the run. */
export async function dropAttributes(tx: Transaction, run: RunRow, { functions }: CommandPorts): Promise<void> {
  const definition = functions.known(run.env, run.functionId, run.functionVersion);
  if (definition !== undefined && definition.attributes === undefined) return;
  const rows = await tx.scan({ table: runAttributes, prefix: [run.id], limit: Number.MAX_SAFE_INTEGER });
  for (const { name } of rows) tx.delete(runAttributes, [run.id, name]);
}
