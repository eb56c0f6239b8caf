// npm run simulate -- --seeds 1000 --from 1     runs seeds and prints what was done
// npm run simulate -- --seed 42                 replays one seed with its trace

import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
});

if (values.seed !== undefined) {
  const result = await simulate({ seed: Number(values.seed), trace: (line) => console.log(line) });
  for (const violation of result.violations) console.log(`VIOLATION ${violation.message}`);
  for (const line of result.state) console.log(line);
  console.log(`history ${result.historyHash.slice(0, 16)}, ${result.runs} runs, ${result.commits} commits`);
  process.exit(result.violations.length === 0 ? 0 : 1);
}

const seeds = Number(values.seeds);
const from = Number(values.from);
const startedAt = performance.now();
const totals = { commits: 0, runs: 0, bodyStarts: 0, simulatedMs: 0 };
const faults = new Map<string, number>();
const failed: number[] = [];
for (let seed = from; seed < from + seeds; seed++) {
  const result = await simulate({ seed });
  totals.commits += result.commits;
  totals.runs += result.runs;
  totals.bodyStarts += result.bodyStarts;
  totals.simulatedMs += result.simulatedMs;
  for (const [fault, count] of result.faults) faults.set(fault, (faults.get(fault) ?? 0) + count);
  if (result.violations.length > 0) {
    failed.push(seed);
    console.log(`seed ${seed}: ${result.violations[0]?.message}`);
    console.log(`  replay it with: npm run simulate -- --seed ${seed}`);
  }
}
const seconds = (performance.now() - startedAt) / 1_000;
console.log(
  `${seeds} seeds from ${from}: ${failed.length} failed; ${(seeds / seconds).toFixed(1)} seeds/s, ` +
    `${(totals.simulatedMs / 3_600_000).toFixed(1)} simulated hours, ${totals.runs} runs, ${totals.bodyStarts} bodies started, ${totals.commits} commits`,
);
for (const [fault, count] of [...faults].sort()) console.log(`  ${count} × ${fault}`);
process.exit(failed.length === 0 ? 0 : 1);
