// npm run bench:large -- [--store postgres] [--finished 1000000] [--sleeping 100000]
//
// Does a database that is full cost more than an empty one? Fills one with finished and sleeping runs, by SQL from rows that an
// engine wrote, and measures the same work on it and on an empty one, in turns.

import { parseArgs } from 'node:util';
import { createEngine } from '@ironflow/engine';
import { createClient, createFunction, createWorker } from '@ironflow/node';
import { until } from './children.ts';
import { type Fillable, openFillablePostgres, openFillableSqlite } from './fillable.ts';
import { median } from './measure.ts';
import { checkResult, type Target } from './target.ts';
import { openInProcess } from './targets/in-process.ts';

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    finished: { type: 'string', default: '1000000' },
    sleeping: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '15' },
  },
});
const FINISHED = Number(values.finished);
const SLEEPING = Number(values.sleeping);

const open = { sqlite: openFillableSqlite, postgres: openFillablePostgres }[values.store];
if (open === undefined) throw new Error(`There is no store "${values.store}". There are: sqlite, postgres.`);
const { full, empty, close } = await open();
try {
  await writeModels(full);
  await fill(full);
  console.log(`${FINISHED} finished and ${SLEEPING} sleeping runs: ${((await full.bytes()) / 2 ** 30).toFixed(2)} GiB`);
  const targets = [await openInProcess(full.store), await openInProcess(empty.store)] as const;
  const rates: [number[], number[]] = [[], []];
  const ratios: number[] = [];
  for (let round = 0; round < Number(values.rounds) + 1; round++) {
    const rate = [0, 0];
    for (const side of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      rate[side] = await stepsPerSecond(targets[side]);
      if (round > 0) rates[side].push(rate[side]); // the first warms up
    }
    if (round > 0) ratios.push((rate[0] ?? 0) / (rate[1] ?? 1));
  }
  const [onFull, onEmpty] = rates.map(median) as [number, number];
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  console.log(
    `full ${onFull.toFixed(0)} steps/s, empty ${onEmpty.toFixed(0)} steps/s: ${median(ratios).toFixed(3)} × (${low.toFixed(3)} – ${high.toFixed(3)}), medians of ${ratios.length} rounds`,
  );
  for (const target of targets) await target.close();
} finally {
  await close();
}
process.exit();

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
async function writeModels({ store }: Fillable): Promise<void> {
  const engine = await createEngine(store.options);
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

/** Copies the rows of both runs and of their events, each copy under ids of its own that sort as ids do. */
async function fill({ all, exec, digits, finish }: Fillable): Promise<void> {
  let position = Number((await all(`SELECT max("position") AS "newest" FROM "events"`))[0]?.['newest']);
  for (const [functionId, count] of [
    ['done', FINISHED],
    ['asleep', SLEEPING],
  ] as const) {
    const [run] = await all(`SELECT "id", "event_id" FROM "runs" WHERE "function_id" = '${functionId}'`);
    const [runId, eventId] = [String(run?.['id']), String(run?.['event_id'])];
    // An id of the same length: the prefix, 16 digits, 10 characters of the model's.
    const place = `n + ${functionId === 'done' ? 0 : 10_000_000}`;
    const copyOf = (id: string) => `'${id.slice(0, 4)}' || ${digits(place)} || '${id.slice(-10)}'`;
    const first = position;
    const valueIn = (table: string, column: string) => {
      const isRun = column === 'run_id' || (column === 'id' && table === 'runs');
      if (isRun) return table === 'events' ? `"${column}"` : copyOf(runId);
      if (column === 'event_id' || (column === 'id' && table === 'events')) return copyOf(eventId);
      if (column === 'position' || column === 'log_position') return `${first} + n`;
      if (column === 'step_id') return `replace("step_id", '${runId}', ${copyOf(runId)})`;
      if (column === 'due_at' || column === 'ended_at') return `"${column}" + n`;
      return `"${column}"`;
    };
    for (const table of ['events', 'runs', 'steps', 'waits']) {
      const columns = await columnsOf(table);
      const [key, id] = table === 'events' ? ['id', eventId] : [table === 'runs' ? 'id' : 'run_id', runId];
      await exec(
        `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count}) ` +
          `INSERT INTO "${table}" (${columns.map((name) => `"${name}"`).join(', ')}) ` +
          `SELECT ${columns.map((name) => valueIn(table, name)).join(', ')} FROM "${table}", numbers WHERE "${key}" = '${id}'`,
      );
    }
    position += count;
  }
  await exec(`UPDATE "log_heads" SET "position" = ${position} WHERE "log" = 'events'`);
  await finish();

  async function columnsOf(table: string): Promise<string[]> {
    return Object.keys((await all(`SELECT * FROM "${table}" LIMIT 1`))[0] ?? {});
  }
}
