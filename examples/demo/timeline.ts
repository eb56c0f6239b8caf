import type { LedgerLine } from './ledger.ts';
import type { FinishedRun } from './verdict.ts';

/** Prints every step of every run with its attempts, waits and the kills that fell into it. */
export function printTimeline(
  runs: readonly FinishedRun[],
  ledger: readonly LedgerLine[],
  kills: readonly { readonly at: number; readonly what: string }[],
): void {
  const origin = Math.min(...runs.map(({ run }) => Date.parse(run.createdAt)));
  const seconds = (at: number) => `${((at - origin) / 1_000).toFixed(2)} s`;
  for (const { order, run, steps, lostLeases } of runs) {
    const lost = lostLeases === 0 ? '' : `, ${lostLeases} lease${lostLeases > 1 ? 's' : ''} lost with a killed worker`;
    console.log(`\n  ${order}  ${run.id}  ${run.status}${lost}`);
    const sorted = [...steps].sort((a, b) => (a.startedAt ?? '').localeCompare(b.startedAt ?? ''));
    for (const step of sorted) {
      const from = Date.parse(step.startedAt ?? run.createdAt);
      const to = Date.parse(step.endedAt ?? run.updatedAt);
      const starts = ledger.filter(({ id, what }) => id === step.id && what === 'started');
      const notes = [
        step.type === 'run'
          ? `${starts.length} start${starts.length === 1 ? '' : 's'}`
          : `waited ${((to - from) / 1_000).toFixed(2)} s`,
        ...step.attempts
          .filter(({ outcome }) => outcome !== 'completed') // every step that has ended has one of these
          .map(({ number, outcome, error }) => `attempt ${number}: ${error?.message ?? outcome}`),
        ...kills
          .filter(({ at }) => at >= Math.min(from, ...starts.map((line) => line.at)) && at <= to)
          .map(({ at, what }) => `${what} killed at ${seconds(at)}`),
      ];
      const name = `${step.name} (${step.type})`.padEnd(30);
      console.log(
        `    ${seconds(from).padStart(8)} → ${seconds(to).padStart(8)}  ${name} ${step.status.padEnd(10)} ${notes.join(' · ')}`,
      );
    }
  }
}
