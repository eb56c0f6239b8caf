// npm run bench:large -- [--finished 1000000] [--sleeping 100000]
//
// Does a database that is full cost more than an empty one? Fills one with finished and sleeping runs, by SQL from rows that an
// engine wrote, and measures the same work on it and on an empty one, in turns. SQLite.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { createEngine } from '@ironflow/engine';
import { createClient, createFunction, createWorker } from '@ironflow/node';
import { until } from './children.ts';
import { median } from './measure.ts';
import type { BenchStore } from './stores.ts';
import { checkResult, type Target } from './target.ts';
import { openInProcess } from './targets/in-process.ts';

const { values } = parseArgs({
  options: {
    finished: { type: 'string', default: '1000000' },
    sleeping: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '7' },
  },
});
const FINISHED = Number(values.finished);
const SLEEPING = Number(values.sleeping);

const full = mkdtempSync(join(tmpdir(), 'ironflow-full-'));
const empty = mkdtempSync(join(tmpdir(), 'ironflow-empty-'));
try {
  await writeModels(full);
  multiply(full);
  const size = statSync(join(full, 'ironflow.db')).size / 2 ** 30;
  console.log(`${FINISHED} finished and ${SLEEPING} sleeping runs: ${size.toFixed(2)} GiB`);
  const targets = [await open(full), await open(empty)] as const;
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < Number(values.rounds) + 1; round++) {
    for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const target = targets[side];
      if (target === undefined) continue;
      const rate = await stepsPerSecond(target);
      if (round > 0) rates[side as 0 | 1].push(rate); // the first warms up
    }
  }
  const [onFull, onEmpty] = rates.map(median) as [number, number];
  console.log(
    `full ${onFull.toFixed(0)} steps/s, empty ${onEmpty.toFixed(0)} steps/s: ${(onFull / onEmpty).toFixed(3)} ×`,
  );
  for (const target of targets) await target.close();
} finally {
  for (const directory of [full, empty]) rmSync(directory, { recursive: true, force: true });
}
process.exit();

function open(dataDir: string): Promise<Target> {
  const store: BenchStore = { name: 'SQLite', options: { dataDir }, args: [], close: async () => {} };
  return openInProcess(store);
}

async function stepsPerSecond(target: Target): Promise<number> {
  const runs = 300;
  const startedAt = performance.now();
  let left = runs;
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      while (left-- > 0) checkResult(await target.run({ n: 10 }), 10);
    }),
  );
  return (runs * 10) / ((performance.now() - startedAt) / 1_000);
}

/** One finished and one sleeping run, as an engine leaves them. */
async function writeModels(dataDir: string): Promise<void> {
  const engine = await createEngine({ dataDir });
  const client = createClient({ engine });
  const fns = [
    createFunction({ id: 'done', triggers: [{ event: 'done' }] }, async ({ step }) =>
      step.run('only', () => ({ ok: true })),
    ),
    createFunction({ id: 'asleep', triggers: [{ event: 'asleep' }] }, async ({ step }) => {
      await step.run('only', () => ({ ok: true }));
      await step.sleep('long', '300d');
    }),
  ];
  const worker = createWorker({ functions: fns, engine, logger: false });
  const working = worker.start();
  await until('the functions are registered', async () => (await client.listFunctions()).length === 2);
  await client.emitSync('done');
  await client.emit('asleep');
  await until('one sleeps', async () => (await client.listRuns({ status: 'waiting' })).totalCount === 1);
  await worker.stop();
  await working;
  await engine.close();
}

/** Copies the rows of both runs, each copy under ids of its own that sort as ids do. */
function multiply(dataDir: string): void {
  const db = new DatabaseSync(join(dataDir, 'ironflow.db'));
  db.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN');
  for (const [functionId, count] of [
    ['done', FINISHED],
    ['asleep', SLEEPING],
  ] as const) {
    const run = db.prepare('SELECT id FROM runs WHERE function_id = ?').get(functionId) as { id: string };
    // An id of the same length: "run_", 16 digits, 10 characters of the model's.
    const id = `'run_' || printf('%016d', n + ${functionId === 'done' ? 0 : 10_000_000}) || '${run.id.slice(-10)}'`;
    for (const table of ['runs', 'steps', 'waits']) {
      const columns = db
        .prepare(`SELECT name FROM pragma_table_info('${table}')`)
        .all()
        .map(({ name }) => String(name));
      const value = (column: string) => {
        if (column === (table === 'runs' ? 'id' : 'run_id')) return id;
        if (column === 'step_id') return `replace("step_id", '${run.id}', ${id})`;
        if (column === 'due_at' || column === 'ended_at') return `"${column}" + n`;
        return `"${column}"`;
      };
      const where = table === 'runs' ? 'id' : 'run_id';
      db.exec(
        `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count}) ` +
          `INSERT INTO ${table} (${columns.map((name) => `"${name}"`).join(', ')}) ` +
          `SELECT ${columns.map(value).join(', ')} FROM ${table}, numbers WHERE ${where} = '${run.id}'`,
      );
    }
  }
  db.exec('COMMIT');
  db.close();
}
