import { encodeJson, type JsonText } from '@ironflow/core';
import type { Failure, MemoEntry } from '@ironflow/core/wire';
import type { StepRow } from '../store/tables.ts';

/** What a step came to, as its function and others are told. */
export function outputOf({ kind, output, position }: StepRow): JsonText | null {
  if (kind !== 'publish' || output === null || position === null) return output;
  const { eventId } = JSON.parse(output) as { readonly eventId?: string }; // the commit told the sequence, after this was written
  return eventId === undefined ? output : publishOutput(eventId, position);
}

export function publishOutput(eventId: string, sequence: number): JsonText {
  return encodeJson({ eventId, sequence }, 'output of publish');
}

export function memoEntryFrom(row: StepRow): MemoEntry {
  const output = outputOf(row);
  return {
    stepId: row.stepId,
    name: row.name,
    kind: row.kind,
    status: row.status,
    ...(output !== null && { output: { text: output } }),
    ...(row.error !== null && { error: JSON.parse(row.error) as Failure }), // as it was stored
    wake: row.wake,
    sequence: row.sequence,
  };
}

/** The order in which the entries' results reached the function. */
export function byArrival(a: MemoEntry, b: MemoEntry): number {
  return a.wake - b.wake || a.sequence - b.sequence;
}
