// What must hold after chaos: of the runs and steps that the engine recorded, of the ledger that bodies wrote outside it, and of
// what the client was told.

import { existsSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { ChaosClient } from './client.ts';
import { type LedgerLine, resultOf } from './functions.ts';

export interface Verdict {
  readonly broken: readonly string[];
  readonly orders: number;
  readonly steps: number;
  readonly starts: number;
  /** Starts beyond the first of each attempt: of bodies whose worker was killed, or lost its lease. */
  readonly repeated: number;
}

export async function judge(client: ChaosClient, ledgerPath: string): Promise<Verdict> {
  const broken = [...client.broken];
  const starts = startsIn(ledgerPath);
  let steps = 0;
  let repeated = 0;
  for (const { n, runIds } of client.acknowledged) {
    const [runId = ''] = runIds;
    const run = await client.surely((api) => api.getRun(runId));
    if (run.status !== 'completed' || !isDeepStrictEqual(run.output, resultOf(n))) {
      broken.push(
        `Every order completes with its result: order ${n} is ${run.status}, ${JSON.stringify(run.output ?? run.error)}.`,
      );
    }
    const children = await client.surely((api) => api.getRunSteps(runId));
    const childIds = children.steps.flatMap(({ childRunId }) => (childRunId === undefined ? [] : [childRunId]));
    if (new Set(childIds).size !== 1)
      broken.push(`An invoked function runs once: order ${n} has children ${childIds.join(', ')}.`);
    for (const id of [runId, ...childIds]) {
      const recorded = id === runId ? children : await client.surely((api) => api.getRunSteps(id));
      for (const step of recorded.steps.filter(({ type }) => type === 'run')) {
        steps++;
        const times = starts.get(step.id) ?? [];
        starts.delete(step.id);
        if (times.length === 0) broken.push(`A recorded step has run: ${step.id} never started.`);
        const endedAt = Date.parse(step.endedAt ?? '');
        const late = times.filter((at) => at > endedAt);
        if (late.length > 0)
          broken.push(`A completed step is never started again: ${step.id} was, ${late.length} times.`);
        const { atLeast, atMost } = step.starts ?? { atLeast: 0, atMost: 0 };
        repeated += Math.max(0, times.length - step.attempt);
        if (times.length < atLeast || times.length > atMost)
          broken.push(
            `Each start is accounted for: ${step.id} started ${times.length} times, ${atLeast} to ${atMost} are on record.`,
          );
      }
    }
  }
  for (const id of starts.keys()) broken.push(`A step that ran is recorded: ${id} is not.`);
  const { totalCount } = await client.surely((api) => api.listRuns({ functionId: 'chaos-order', limit: 1 }));
  if (totalCount !== client.acknowledged.length)
    broken.push(`An order starts its run once: ${client.acknowledged.length} orders have ${totalCount} runs.`);
  const all = [...startsIn(ledgerPath).values()].reduce((sum, { length }) => sum + length, 0);
  return { broken, orders: client.acknowledged.length, steps, starts: all, repeated };
}

/** The times at which each step's body started. */
function startsIn(path: string): Map<string, number[]> {
  const starts = new Map<string, number[]>();
  if (!existsSync(path)) return starts;
  for (const text of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const { id, at, what } = JSON.parse(text) as LedgerLine;
    if (what === 'started') starts.set(id, [...(starts.get(id) ?? []), at]);
  }
  return starts;
}
