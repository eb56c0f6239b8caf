// npm run bench:waits -- [--waits 100000] [--few 10] [--passes 30] [--events 400] [--store sqlite|postgres]
//
// What an emit costs with so many runs that wait for an event of its name, against a few: an engine of each kind, in processes of
// their own, measured by turns. It ends with 1 when the best pass costs more than 1.3 times that of the few.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openPostgres, openSqlite } from './stores.ts';

const { values } = parseArgs({
  options: {
    waits: { type: 'string', default: '100000' },
    few: { type: 'string', default: '10' },
    passes: { type: 'string', default: '30' },
    events: { type: 'string', default: '400' },
    store: { type: 'string', default: 'sqlite' },
  },
});
const RATIO_MAX = 1.3;
const script = fileURLToPath(new URL('./processes/emitter.ts', import.meta.url));

interface Pass {
  readonly medianMs: number;
  readonly eventsPerSecond: number;
}

class Emitter {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly passes: Pass[] = [];

  constructor(options: unknown, waits: string) {
    this.#process = spawn(
      process.execPath,
      ['--conditions=ironflow-source', script, JSON.stringify(options), waits, values.events],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, NODE_ENV: 'production' } },
    );
    process.once('exit', () => this.#process.kill('SIGKILL'));
    if (this.#process.stdout === null) throw new TypeError('its output is piped');
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async said(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('an emitter has ended');
    return value;
  }

  async measure(): Promise<void> {
    this.#process.stdin?.write('measure\n');
    this.passes.push(JSON.parse(await this.said()) as Pass);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin?.write('stop\n');
    await ended;
  }
}

const open = values.store === 'postgres' ? openPostgres : openSqlite;
const [fewStore, manyStore] = [await open(), await open()];
const few = new Emitter(fewStore.options, values.few);
const many = new Emitter(manyStore.options, values.waits);
let exceeded = false;
try {
  const startedAt = performance.now();
  await Promise.all([few.said(), many.said()]);
  console.log(`${values.waits} runs wait after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  for (let i = 0; i <= Number(values.passes); i++) for (const emitter of [few, many]) await emitter.measure();
  for (const emitter of [few, many]) emitter.passes.shift(); // lets the code get warm

  // Other work on the machine only adds: the cost of an emit is that of the best pass.
  const show = (name: string, costOf: (pass: Pass) => number) => {
    const told = [few, many].map(({ passes }) => {
      const costs = passes.map(costOf).sort((a, b) => a - b);
      const [best = 0, median = 0] = [costs[0], costs[costs.length >> 1]];
      return { best, text: `${best.toFixed(3)} (median ${median.toFixed(3)}, worst ${costs.at(-1)?.toFixed(3)})` };
    });
    const ratio = (told[1]?.best ?? 0) / (told[0]?.best ?? 1);
    exceeded ||= ratio > RATIO_MAX;
    console.log(
      `${name}: ${told[0]?.text} with ${values.few} waits, ${told[1]?.text} with ${values.waits}: ×${ratio.toFixed(2)}`,
    );
  };
  show('ms for one emit at a time', ({ medianMs }) => medianMs);
  show('ms for each of 50 in flight, until all are matched', ({ eventsPerSecond }) => 1_000 / eventsPerSecond);
} finally {
  await Promise.all([few.stop(), many.stop()]);
  await fewStore.close();
  await manyStore.close();
}
if (exceeded) console.error(`BROKEN a cost is more than ×${RATIO_MAX}`);
process.exit(exceeded ? 1 : 0);
