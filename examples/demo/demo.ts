// npm run demo
//
// An engine and a worker, each a process of its own, take some orders through a durable function. In the middle both are killed
// with SIGKILL and started again. At the end, what the engine recorded is compared with a ledger that the steps' bodies wrote.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient, type Run } from '@ironflow/node';
import { Ledger, type LedgerLine } from './ledger.ts';
import { freePort, Processes } from './processes.ts';
import { printTimeline } from './timeline.ts';
import { brokenPromises, type FinishedRun } from './verdict.ts';

const ORDERS = 5;
const TIME_MS = 60_000;

const startedAt = Date.now();
const directory = mkdtempSync(join(tmpdir(), 'ironflow-demo-'));
const ledger = new Ledger(join(directory, 'ledger.jsonl'));
const processes = new Processes();
const port = await freePort();
const serverUrl = `http://localhost:${port}`;
const client = createClient({ serverUrl });
const kills: { readonly at: number; readonly what: string }[] = [];

const say = (text: string) => console.log(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${text}`);
const script = (path: string) => fileURLToPath(new URL(path, import.meta.url));

function startEngine() {
  return processes.start(script('../../engine/src/cli/run.ts'), [
    'serve',
    '--port',
    `${port}`,
    '--data',
    join(directory, 'data'),
  ]);
}

function startWorker() {
  return processes.start(script('./worker.ts'), [join(directory, 'ledger.jsonl'), serverUrl]);
}

/** Waits for a condition; what happened so far is told by the ledger. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    if (Date.now() - startedAt > TIME_MS) throw new Error(`Not within ${TIME_MS / 1_000} s: ${what}.`);
    showProgress();
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  showProgress();
}

let shown = 0;
function showProgress(): void {
  const lines = ledger.lines();
  for (const line of lines.slice(shown)) say(describe(line));
  shown = lines.length;
}

const describe = ({ order, step, what, attempt, worker }: LedgerLine) =>
  `  ${order}  ${step} ${what}${attempt > 1 ? ` (attempt ${attempt})` : ''}  · worker ${worker}`;

const healthy = () =>
  client.health().then(
    (status) => status === 'ok',
    () => false,
  );

try {
  say(`engine and worker start; data in ${directory}`);
  let engine = startEngine();
  let worker = startWorker();
  await until('the engine answers', healthy);
  await until('the worker is there', async () => (await client.listWorkers()).length > 0);

  const orders = Array.from({ length: ORDERS }, (_, i) => `order-${i + 1}`);
  const runIds = new Map<string, string>();
  for (const [i, orderId] of orders.entries()) {
    const { runIds: started } = await client.emit(
      'order.placed',
      { orderId, amount: 10 * (i + 1) },
      { idempotencyKey: orderId },
    );
    runIds.set(orderId, started[0] ?? '');
  }
  say(`${ORDERS} orders placed`);

  await until('some orders are being charged', () =>
    ledger.lines().some(({ step, what }) => step === 'charge' && what === 'started'),
  );
  await processes.kill(engine);
  kills.push({ at: Date.now(), what: 'engine' });
  say('✗ the engine is killed with SIGKILL, in the middle of its work');
  await new Promise((resolve) => setTimeout(resolve, 700));
  engine = startEngine();
  await until('the engine answers again', healthy);
  say('✓ the engine is back');

  await until('some orders are being packed', () =>
    ledger.lines().some(({ step, what }) => step === 'pack' && what === 'started'),
  );
  await processes.kill(worker);
  kills.push({ at: Date.now(), what: 'worker' });
  say('✗ the worker is killed with SIGKILL, in the middle of a step');
  for (const orderId of orders) {
    await client.emit('order.approved', { orderId, by: 'alice' }, { idempotencyKey: `${orderId}-approved` });
  }
  say('all orders are approved, with no worker there');
  worker = startWorker();

  const ended = async (): Promise<Run[]> => Promise.all([...runIds.values()].map((runId) => client.getRun(runId)));
  await until('all orders have ended', async () => (await ended()).every(({ endedAt }) => endedAt !== undefined));

  const runs = await finishedRuns([...runIds]);
  printTimeline(runs, ledger.lines(), kills);
  const broken = brokenPromises(runs, ledger.lines());
  const starts = ledger.lines().filter(({ what }) => what === 'started').length;
  if (broken.length > 0) {
    console.log(`\nBROKEN\n${broken.map((promise) => `  ✗ ${promise}`).join('\n')}`);
    process.exitCode = 1;
  } else {
    console.log(
      `\n  ✓ ${runs.length} runs of ${ORDERS} orders completed, through a killed engine and a killed worker.`,
    );
    console.log(`  ✓ ${starts} starts of bodies, each accounted for; no completed step's body ever started again.`);
    console.log(
      `\n  ${((Date.now() - startedAt) / 1_000).toFixed(1)} s. The functions are in examples/demo/functions.ts.`,
    );
  }
} catch (error) {
  console.log(`\nBROKEN\n  ✗ ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await processes.stopAll();
  rmSync(directory, { recursive: true, force: true });
}

async function finishedRuns(orders: readonly (readonly [string, string])[]): Promise<FinishedRun[]> {
  const found: FinishedRun[] = [];
  for (const [order, runId] of orders) {
    const run = await client.getRun(runId);
    const { steps, attempts } = await client.getRunSteps(runId);
    const lostLeases = attempts.filter(({ outcome }) => outcome === 'unknown').length;
    found.push({ order, run, steps, lostLeases });
    for (const { childRunId } of steps) {
      if (childRunId !== undefined) found.push(...(await finishedRuns([[`${order} › ship`, childRunId]])));
    }
  }
  return found;
}
