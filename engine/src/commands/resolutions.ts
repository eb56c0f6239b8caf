import type { Resolution } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { memoEntryFrom } from '../kernel/memo.ts';
import { steps, waits } from '../store/tables.ts';

/** Reads rows inside a command, or straight from the store. */
export type Reader = Pick<Transaction, 'scan'>;

/** What has met a run's waits after the first `seenWakes`, in order. Reads those rows and no others. */
export async function resolutionsSince(tx: Reader, runId: string, seenWakes: number): Promise<Resolution[]> {
  const range = { index: 'byResolution', prefix: [runId], after: [seenWakes], limit: Number.MAX_SAFE_INTEGER };
  const [settled, due] = await Promise.all([tx.scan({ table: steps, ...range }), tx.scan({ table: waits, ...range })]);
  const resolutions: Resolution[] = [
    ...settled.map((row): Resolution => ({ kind: 'settled', wake: row.resolution ?? 0, entry: memoEntryFrom(row) })),
    ...due.map(
      (row): Resolution => ({ kind: 'retry', wake: row.resolution ?? 0, stepId: row.stepId, attempt: row.attempt }),
    ),
  ];
  return resolutions.sort((a, b) => a.wake - b.wake);
}
