import type { Failure, MemoEntry } from '@ironflow/core/wire';
import type { StepRow } from '../store/tables.ts';

export function memoEntryFrom(row: StepRow): MemoEntry {
  return {
    stepId: row.stepId,
    name: row.name,
    kind: row.kind,
    status: row.status,
    ...(row.output !== null && { output: { text: row.output } }),
    ...(row.error !== null && { error: JSON.parse(row.error) as Failure }), // as it was stored
    wake: row.wake,
    sequence: row.sequence,
  };
}

/** The order in which the entries' results reached the function. */
export function byArrival(a: MemoEntry, b: MemoEntry): number {
  return a.wake - b.wake || a.sequence - b.sequence;
}
