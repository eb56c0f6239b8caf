// npm run simulate -- --seeds 1000 --from 1     runs seeds and prints what was done
// npm run simulate -- --seed 42                 replays one seed with its trace
// npm run simulate -- --ci --jobs 2             what CI runs: seeds 1 to 1000, and 1,000 fresh ones from a base that is printed
//   --jobs N                                    divides the seeds over N processes

import { fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

// Errors are made by the thousand here, and nobody reads their stacks.
Error.stackTraceLimit = 0;

/** What a number of seeds came to. */
interface Totals {
  readonly failed: { readonly seed: number; readonly violation: string }[];
  readonly counts: Record<'seeds' | 'commits' | 'commands' | 'runs' | 'bodyStarts' | 'simulatedMs', number>;
  readonly faults: Record<string, number>;
}

interface Range {
  readonly from: number;
  readonly seeds: number;
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    ci: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
    /** Set for a process that another one started: ranges as JSON. */
    part: { type: 'string' },
  },
});

if (values.seed !== undefined) await replay(Number(values.seed));
else if (values.part !== undefined)
  process.send?.(await runAll(JSON.parse(values.part) as Range[]), () => process.exit());
else await main();

async function main(): Promise<void> {
  const ranges = values.ci
    ? [
        { from: 1, seeds: 1_000 },
        { from: randomInt(1_000_000, 2 ** 31), seeds: 1_000 },
      ]
    : [{ from: Number(values.from), seeds: Number(values.seeds) }];
  for (const { from, seeds } of ranges) console.log(`seeds ${from} to ${from + seeds - 1}`);
  const startedAt = performance.now();
  const jobs = Number(values.jobs);
  const parts = jobs === 1 ? [await runAll(ranges)] : await Promise.all(divided(ranges, jobs).map(runElsewhere));
  print(parts.reduce(added), (performance.now() - startedAt) / 1_000);
}

async function replay(seed: number): Promise<void> {
  const result = await simulate({ seed, trace: (line) => console.log(line) });
  for (const violation of result.violations) console.log(`VIOLATION ${violation.message}`);
  for (const line of result.state) console.log(line);
  console.log(`history ${result.historyHash.slice(0, 16)}, ${result.runs} runs, ${result.commits} commits`);
  process.exitCode = result.violations.length === 0 ? 0 : 1;
}

async function runAll(ranges: readonly Range[]): Promise<Totals> {
  let totals = nothing();
  for (const { from, seeds } of ranges) {
    for (let seed = from; seed < from + seeds; seed++) {
      const { violations, faults, commits, commands, runs, bodyStarts, simulatedMs } = await simulate({ seed });
      const [first] = violations;
      totals = added(totals, {
        failed: first === undefined ? [] : [{ seed, violation: first.message }],
        counts: { seeds: 1, commits, commands, runs, bodyStarts, simulatedMs },
        faults: Object.fromEntries(faults),
      });
      if (first === undefined) continue;
      console.log(`seed ${seed}: ${first.message}`);
      console.log(`  replay it with: npm run simulate -- --seed ${seed}`);
    }
  }
  return totals;
}

/** Each process gets its share of each range. */
function divided(ranges: readonly Range[], jobs: number): Range[][] {
  return Array.from({ length: jobs }, (_, job) =>
    ranges.map(({ from, seeds }) => {
      const begin = Math.floor((seeds * job) / jobs);
      return { from: from + begin, seeds: Math.floor((seeds * (job + 1)) / jobs) - begin };
    }),
  );
}

function runElsewhere(ranges: readonly Range[]): Promise<Totals> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, ['--part', JSON.stringify(ranges)], { execArgv: process.execArgv });
    child.once('message', (totals) => resolve(totals as Totals)); // what runAll returns
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`a process with seeds from ${ranges[0]?.from} ended with ${code}`)));
  });
}

function nothing(): Totals {
  return {
    failed: [],
    counts: { seeds: 0, commits: 0, commands: 0, runs: 0, bodyStarts: 0, simulatedMs: 0 },
    faults: {},
  };
}

function added(a: Totals, b: Totals): Totals {
  const sum = <K extends string>(x: Record<K, number>, y: Record<K, number>) => {
    const total: Record<string, number> = { ...x };
    for (const [name, count] of Object.entries<number>(y)) total[name] = (total[name] ?? 0) + count;
    return total as Record<K, number>; // the names of both
  };
  return { failed: [...a.failed, ...b.failed], counts: sum(a.counts, b.counts), faults: sum(a.faults, b.faults) };
}

function print({ failed, counts, faults }: Totals, seconds: number): void {
  const { seeds, simulatedMs, runs, bodyStarts, commits, commands } = counts;
  const faultCount = Object.values(faults).reduce((sum, count) => sum + count, 0);
  console.log(
    `${seeds} seeds: ${failed.length} failed; ${(seeds / seconds).toFixed(1)} seeds/s, ` +
      `${(simulatedMs / 3_600_000).toFixed(1)} simulated hours, ${runs} runs, ${bodyStarts} bodies started, ` +
      `${commands} commands in ${commits} commits, ${faultCount} faults`,
  );
  for (const [fault, count] of Object.entries(faults).sort()) console.log(`  ${count} × ${fault}`);
  if (failed.length > 0) console.log(`failed: ${failed.map(({ seed }) => seed).join(' ')}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
