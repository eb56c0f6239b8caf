// npm run bench:peers -- [--only in-process,restate] [--workloads W1,W3] [--rounds 3] [--quick] [--list]
//
// Measures this engine and others side by side: in each round every contender takes its turn, opened anew in a process of its own, so that
// a machine which gets slower or busier does so for all. README.md has the options.

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { profileTo } from '../profile.ts';
import { NotAvailableError } from './contender.ts';
import { contenders, type Entry, usual } from './contenders.ts';
import { canCountSyncs } from './observer.ts';
import { type ContenderReport, markdown, type Report } from './report.ts';
import { Session } from './session.ts';
import { installPeers } from './setup.ts';
import { type Sizes, workloads } from './workloads.ts';

const USUAL_WORKLOADS = 'W1,W2,W3,W4,W5,W6,W7,W8,W9';

const usualSizes: Sizes = {
  seconds: 5,
  inFlight: 500,
  latencies: 200,
  sequence: 300,
  fan: 100,
  sleepers: 2_000,
  sleepMs: 5_000,
  flat: 10_000,
  largeBytes: 102_400,
  idleSleepers: 10_000,
  idleSeconds: 60,
};

const quickSizes: Sizes = {
  ...usualSizes,
  seconds: 2,
  latencies: 50,
  sleepers: 500,
  sleepMs: 2_000,
  flat: 1_000,
  idleSleepers: 1_000,
  idleSeconds: 10,
};

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: usual },
    workloads: { type: 'string', default: USUAL_WORKLOADS },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    syncs: { type: 'boolean', default: false },
    profile: { type: 'string' },
    out: { type: 'string', default: 'bench/results/peers' },
    ...Object.fromEntries(Object.keys(usualSizes).map((name) => [dashed(name), { type: 'string' as const }])),
  },
});

if (values.list) {
  for (const [name, { adapter, options }] of Object.entries(contenders))
    console.log(`${name.padEnd(24)}${adapter} ${JSON.stringify(options)}`);
  for (const [name, { title }] of Object.entries(workloads)) console.log(`${name.padEnd(24)}${title}`);
  process.exit();
}

const chosen = pick(values.only, contenders, 'contender');
const work = pick(values.workloads, workloads, 'workload');
if (values.profile !== undefined) profileTo(values.profile);
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const sizes = sizesFrom(values.quick ? quickSizes : usualSizes);
if (chosen.some(([, { ours }]) => ours !== true)) installPeers();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
process.setMaxListeners(100);

const report: Report = {
  at: new Date().toISOString(),
  command: `npm run bench:peers -- ${process.argv.slice(2).join(' ')}`.trim(),
  machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}, Node ${process.versions.node}`,
  rounds,
  sizes,
  contenders: {},
  leftOut: {},
};

for (let round = 1; round <= rounds; round++) {
  for (const [name, entry] of chosen) {
    if (name in report.leftOut) continue;
    await withSession(name, entry, async (session, into) => {
      for (const [workload, { title }] of workOf(entry)) {
        const own = { ...sizes, ...entry.sizes };
        const measured = await session.measure(workload, own);
        into.rounds[workload] = [...(into.rounds[workload] ?? []), measured];
        const [[figure = '', unit = ''] = []] = Object.entries(workloads[workload]?.columns ?? {});
        console.log(
          `${round}/${rounds} ${name.padEnd(22)} ${workload.padEnd(3)} ${(measured.figures[figure] ?? Number.NaN).toFixed(2).padStart(10)} ${unit} (${title}; others ${measured.foreignCores.toFixed(2)} cores)`,
        );
      }
    });
    write(); // what is there is there, however this ends
  }
}
if (values.syncs) await countAllSyncs();
write();
console.log(`\n${markdown(report)}\nWritten to ${values.out}.md and ${values.out}.json`);
process.exit();

/** Counted in a round of its own, because counting slows what is counted. */
async function countAllSyncs(): Promise<void> {
  if (!canCountSyncs()) return console.log('No syncs are counted: there is no strace here.');
  const few = { ...sizes, seconds: 2, sequence: 50 };
  for (const [name, entry] of chosen) {
    if (name in report.leftOut) continue;
    await withSession(name, entry, async (session, into) => {
      for (const [workload] of workOf(entry).filter(([one]) => one === 'W1' || one === 'W3')) {
        const { syncs, figures } = await session.syncsOf(workload, { ...few, ...entry.sizes });
        // W3 has a run of twenty steps before the one that it times.
        const steps = workload === 'W1' ? (figures['runs'] ?? 0) * 10 : few.sequence + 20;
        into.syncsPerStep[workload] = syncs / steps;
        console.log(`${name.padEnd(26)} ${workload} ${(syncs / steps).toFixed(3)} syncs a step`);
      }
    });
  }
}

async function withSession(
  name: string,
  entry: Entry,
  use: (session: Session, into: ContenderReport) => Promise<void>,
): Promise<void> {
  let session: Session | undefined;
  try {
    session = await Session.open(entry);
    const into = report.contenders[name] ?? { info: session.info, rounds: {}, syncsPerStep: {}, failures: [] };
    report.contenders[name] = into;
    await session.warmUp({ ...sizes, ...entry.sizes }, entry.isQueue === true);
    await use(session, into);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    console.error(`${name}: ${error instanceof Error ? error.message : why}`);
    if (error instanceof NotAvailableError || session === undefined) report.leftOut[name] = why;
    else report.contenders[name]?.failures.push(why);
  } finally {
    await session?.close();
  }
}

function workOf({ isQueue, kinds }: Entry) {
  return work.filter(
    ([, workload]) =>
      (isQueue === true ? workload.forQueues !== undefined : workload.forQueues !== 'only') &&
      workload.kinds.every((kind) => kinds === undefined || kinds.includes(kind)),
  );
}

function write(): void {
  mkdirSync(dirname(values.out), { recursive: true });
  writeFileSync(`${values.out}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${values.out}.md`, markdown(report));
}

function pick<T>(list: string, from: Readonly<Record<string, T>>, what: string): [string, T][] {
  return list.split(',').map((name) => {
    const found = from[name];
    if (found === undefined)
      throw new Error(`There is no ${what} "${name}". There are: ${Object.keys(from).join(', ')}.`);
    return [name, found];
  });
}

function sizesFrom(defaults: Sizes): Sizes {
  const given = values as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(defaults).map(([name, size]) => [name, Number(given[dashed(name)] ?? size)]),
  ) as unknown as Sizes; // the same names
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
