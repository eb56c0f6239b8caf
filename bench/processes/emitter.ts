// An engine with so many runs that wait for an event. It says "ready", and at each line that comes in emits such events, which
// none of them waits for, and says how long that took.
//
//   node emitter.ts <store options as JSON> <waits> <events of a pass>

import { createInterface } from 'node:readline';
import { createEngine, type StoreOptions } from '@ironflow/engine';
import { createClient, createFunction, createWorker } from '@ironflow/node';

const [, , options = '{}', waits = '10', events = '1000'] = process.argv;
const IN_FLIGHT = 50;
const count = Number(events);

const engine = await createEngine({ ...(JSON.parse(options) as StoreOptions), auditMs: 0 });
const waiter = createFunction({ id: 'waiter', triggers: [{ event: 'wait' }] }, async ({ step }) => {
  const came = await step.waitForEvent('come', { event: 'bench.come', match: 'data.id', timeout: '30d' });
  return came.data.pass;
});
const worker = createWorker({ engine, functions: [waiter], maxConcurrentJobs: 500, logger: false });
void worker.start();
await worker.ready;
const client = createClient({ engine });

async function inFlight(times: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (next < times) await work(next++);
    }),
  );
}

const waiting = async () => (await client.listRuns({ status: 'waiting', limit: 1 })).totalCount;
async function wait(ids: number, id: (i: number) => string): Promise<string[]> {
  const before = await waiting();
  const runIds: string[] = [];
  await inFlight(ids, async (i) => runIds.push(...(await client.emit('wait', { id: id(i) })).runIds));
  while ((await waiting()) < before + ids) await new Promise((resolve) => setTimeout(resolve, 50));
  return runIds;
}

let passes = 0;
async function pass(): Promise<{ readonly medianMs: number; readonly eventsPerSecond: number }> {
  const name = `pass-${++passes}`;
  const [last = ''] = await wait(1, () => name);
  const times: number[] = [];
  for (let i = 0; i < count / 4; i++) {
    const startedAt = performance.now();
    await client.emit('bench.come', { id: `${name}-${i}` });
    times.push(performance.now() - startedAt);
  }
  const startedAt = performance.now();
  await inFlight(count, (i) => client.emit('bench.come', { id: `${name}-more-${i}` }));
  // Events of one name are matched in their order: once this one has met its wait, all before it were looked at.
  await client.emit('bench.come', { id: name, pass: passes });
  const run = await client.waitForRun(last);
  if (run.output !== passes) throw new Error(`the wait of ${name} was not met: ${JSON.stringify(run)}`);
  const seconds = (performance.now() - startedAt) / 1_000;
  return { medianMs: times.sort((a, b) => a - b)[times.length >> 1] ?? 0, eventsPerSecond: count / seconds };
}

await wait(Number(waits), (i) => `nobody-${i}`);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'stop') break;
  console.log(JSON.stringify(await pass()));
}
await worker.stop();
await engine.close();
process.exit();
