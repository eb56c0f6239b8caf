// npm run bench -- [--quick] [--targets in-process,streaming,polling,push,in-process-postgres] [--out file.json] [--profile directory]
//
// Measures this engine in the ways it can be run, on SQLite and on PostgreSQL, with full sync, and prints a table of medians with the range of all
// repeats. Every result of every run is checked.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, type } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { type Figure, measure, median, type Sizes } from './measure.ts';
import { profiled, profileTo } from './profile.ts';
import { openPostgres, openSqlite } from './stores.ts';
import type { Target } from './target.ts';
import { openInProcess } from './targets/in-process.ts';
import { openPulling, openPush, openTwoEngines } from './targets/served.ts';

const TARGETS: Readonly<Record<string, () => Promise<Target>>> = {
  'in-process': async () => openInProcess(await openSqlite()),
  streaming: async () => openPulling(await openSqlite(), 'streaming'),
  polling: async () => openPulling(await openSqlite(), 'polling'),
  push: async () => openPush(await openSqlite()),
  'in-process-postgres': async () => openInProcess(await openPostgres()),
  'streaming-postgres': async () => openPulling(await openPostgres(), 'streaming'),
  'polling-postgres': async () => openPulling(await openPostgres(), 'polling'),
  'two-engines-postgres': async () => openTwoEngines(await openPostgres()),
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    profile: { type: 'string' },
    targets: { type: 'string', default: Object.keys(TARGETS).join(',') },
    out: { type: 'string', default: 'bench/results/latest.json' },
  },
});

if (values.profile !== undefined) profileTo(values.profile);

const sizes: Sizes = values.quick
  ? { repeats: 1, runs: 200, inFlight: 50, latencies: 30, sequence: 50 }
  : { repeats: 5, runs: 2_000, inFlight: 200, latencies: 200, sequence: 300 };

const report: { name: string; topology: string; figures: Figure[] }[] = [];
for (const name of values.targets.split(',')) {
  const open = TARGETS[name];
  if (open === undefined)
    throw new Error(`There is no target "${name}". There are: ${Object.keys(TARGETS).join(', ')}.`);
  const target = await open();
  try {
    report.push({ name, topology: target.topology, figures: await profiled(name, () => measure(target, sizes)) });
  } finally {
    await target.close();
  }
  print(report.at(-1));
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${type()} ${release()}, Node ${process.versions.node}`;
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(
  values.out,
  `${JSON.stringify({ at: new Date().toISOString(), machine, durability: 'SQLite: WAL, synchronous=FULL; PostgreSQL: fsync=on, synchronous_commit=on', sizes, report }, null, 2)}\n`,
);
console.log(`\n${machine}; full sync; medians of ${sizes.repeats} with the range. Written to ${values.out}`);
process.exit();

function print(one: (typeof report)[number] | undefined): void {
  if (one === undefined) return;
  console.log(`\n${one.name}: ${one.topology}`);
  for (const { name, unit, values } of one.figures) {
    const digits = median(values) >= 100 ? 0 : 2;
    const range = `${Math.min(...values).toFixed(digits)} – ${Math.max(...values).toFixed(digits)}`;
    console.log(`  ${name.padEnd(52)} ${median(values).toFixed(digits).padStart(9)} ${unit.padEnd(3)} (${range})`);
  }
}
