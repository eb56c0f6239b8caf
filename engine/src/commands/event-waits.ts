import { encodeJson, type JsonText } from '@ironflow/core';
import { type JobEvent, payloadText } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { runs, waits } from '../store/tables.ts';
import { settleWait } from './end-run.ts';
import type { CommandPorts } from './ports.ts';
import { isStepped } from './waits.ts';

/** Meets a wait with an event that fits it, unless it has been met, or was searched past this event, before. */
export async function meetEventWait(
  tx: Transaction,
  input: { readonly runId: string; readonly stepId: string; readonly position: number; readonly event: JobEvent },
  ports: CommandPorts,
): Promise<void> {
  const wait = await tx.get(waits, [input.runId, input.stepId]);
  if (wait === null || wait.kind !== 'event' || !isStepped(wait) || input.position <= wait.fromPosition) return;
  const run = await tx.get(runs, [input.runId]);
  if (run === null) return;
  await settleWait(tx, run, wait, { status: 'completed', output: eventText(input.event) }, ports);
}

/** An event as `waitForEvent` returns it, in JSON. Its data is already text and is not parsed for this. */
export function eventText(event: JobEvent): JsonText {
  const head = encodeJson(
    {
      id: event.id,
      name: event.name,
      version: event.version,
      timestamp: new Date(event.timestamp).toISOString(),
      ...(event.source !== undefined && { source: event.source }),
    },
    'event',
  );
  const metadata = event.metadata === undefined ? '' : `,"metadata":${payloadText(event.metadata)}`;
  return `${head.slice(0, -1)},"data":${payloadText(event.data)}${metadata}}` as JsonText;
}
