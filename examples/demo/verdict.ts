// Compares what the engine recorded with what the ledger saw.

import type { Run, RunStep } from '@ironflow/node';
import type { LedgerLine } from './ledger.ts';

export interface FinishedRun {
  readonly order: string;
  readonly run: Run;
  readonly steps: readonly RunStep[];
  /** Leases of the run that ended without a word: the worker was killed. */
  readonly lostLeases: number;
}

/** The promises that did not hold, each in one sentence. */
export function brokenPromises(runs: readonly FinishedRun[], ledger: readonly LedgerLine[]): string[] {
  return [
    ...runs.flatMap(notCompleted),
    ...runs.flatMap((run) => run.steps.flatMap((step) => wrongStarts(run, step, ledger))),
  ];
}

function notCompleted({ order, run }: FinishedRun): string[] {
  if (run.status === 'completed') return [];
  return [`Every order completes: ${order} is ${run.status}${run.error ? ` (${run.error.message})` : ''}.`];
}

function wrongStarts({ order, lostLeases }: FinishedRun, step: RunStep, ledger: readonly LedgerLine[]): string[] {
  if (step.type !== 'run') return [];
  const lines = ledger.filter(({ id }) => id === step.id);
  const started = lines.filter(({ what }) => what === 'started');
  const broken: string[] = [];
  if (started.length === 0)
    broken.push(`A recorded step has run: "${step.name}" of ${order} is recorded, but its body never started.`);
  const endedAt = step.endedAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(step.endedAt);
  if (started.some(({ at }) => at > endedAt)) {
    broken.push(`A completed step is never started again: "${step.name}" of ${order} was.`);
  }
  const explained = step.attempt + lostLeases;
  if (started.length > explained) {
    broken.push(
      `Each start is accounted for: "${step.name}" of ${order} started ${started.length} times, ${explained} are explained.`,
    );
  }
  return broken;
}
