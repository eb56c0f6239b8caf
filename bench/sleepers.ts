// npm run bench:sleepers -- [--runs 100000]
//
// What a sleeping run costs the engine's process: its memory with none asleep and with so many asleep.

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createClient } from '@ironflow/node';
import { Child, freePort, until } from './children.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '100000' } } });
const runs = Number(values.runs);
const BATCH = 500;

const directory = mkdtempSync(join(tmpdir(), 'ironflow-bench-'));
const port = await freePort();
const serverUrl = `http://localhost:${port}`;
const engine = new Child('../engine/src/cli/run.ts', ['serve', '--port', `${port}`, '--data', directory]);
const client = createClient({ serverUrl });
await until('the engine answers', async () => (await client.health()) === 'ok');
const worker = new Child('./processes/sleeper-worker.ts', [serverUrl]);
await until('the worker is there', async () => (await client.listWorkers()).length > 0);

const asleep = async () => (await client.listRuns({ functionId: 'sleeper', status: 'waiting', limit: 1 })).totalCount;

async function fallAsleep(count: number): Promise<void> {
  const before = await asleep();
  for (let sent = 0; sent < count; sent += BATCH) {
    const events = Array.from({ length: Math.min(BATCH, count - sent) }, () => ({
      event: 'bench.sleep',
      data: { ms: 86_400_000 },
    }));
    const answer = await fetch(`${serverUrl}/ironflow.v1.IronflowService/TriggerBatch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ events }),
    });
    if (answer.status !== 200) throw new Error(await answer.text());
  }
  const endAt = performance.now() + 300_000;
  while ((await asleep()) < before + count) {
    if (performance.now() > endAt) throw new Error('the runs do not fall asleep');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Resident memory of the engine, once it has stopped falling. */
async function residentMiB(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const status = readFileSync(`/proc/${engine.pid}/status`, 'utf8');
    least = Math.min(least, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024);
  }
  return least;
}

try {
  await fallAsleep(20_000); // so that the heap and the caches have grown to what the load asks for
  const before = await residentMiB();
  const startedAt = performance.now();
  await fallAsleep(runs);
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = await residentMiB();
  const bytes = ((after - before) * 1_048_576) / runs;
  const disk = statSync(join(directory, 'ironflow.db')).size / runs;
  console.log(`${runs} runs fell asleep in ${seconds.toFixed(1)} s (${(runs / seconds).toFixed(0)}/s)`);
  console.log(
    `engine: ${before.toFixed(1)} MiB before, ${after.toFixed(1)} MiB after: ${bytes.toFixed(0)} bytes a sleeping run; ${disk.toFixed(0)} bytes of disk`,
  );
} finally {
  await worker.stop();
  await engine.stop();
  rmSync(directory, { recursive: true, force: true });
}
process.exit();
