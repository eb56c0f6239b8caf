// npm run chaos -- [--minutes 2] [--store sqlite]
//
// Real processes under load: engines and workers are killed with SIGKILL, frozen with SIGSTOP past their lease and released, at
// random. In the end every order must have completed with its result, and the ledger that the bodies wrote outside the engine must
// agree with what is recorded; the doctor must find nothing.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ChaosClient, pause } from './client.ts';
import { freePort, Victim } from './process.ts';
import { openStores } from './stores.ts';
import { judge } from './verdict.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    store: { type: 'string', default: 'sqlite' },
    orders: { type: 'string', default: '40' },
  },
});
const minutes = Number(values.minutes);
const LEASE_MS = 5_000;
const WORKERS = 3;
const root = new URL('..', import.meta.url).pathname;

const failed: string[] = [];
for (const name of values.store.split(',')) failed.push(...(await chaosOn(name)));
process.exit(failed.length === 0 ? 0 : 1);

async function chaosOn(storeName: string): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'ironflow-chaos-'));
  const store = await openStores(storeName, directory);
  const ledger = join(directory, 'ledger.jsonl');
  const ports = await Promise.all(Array.from({ length: store.engines }, freePort));
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const engines = ports.map((port, i) => {
    const args = ['serve', '--port', `${port}`, '--lease', `${LEASE_MS}ms`, '--log-level', 'error', ...store.args];
    return new Victim(`engine ${i + 1}`, [join(root, 'engine/src/cli/run.ts'), ...args], () =>
      answers(`${urls[i]}/ready`),
    );
  });
  const workers = Array.from({ length: WORKERS }, (_, i) => {
    const url = urls[i % urls.length] ?? '';
    const transport = i % 2 === 0 ? 'streaming' : 'polling';
    return new Victim(`worker ${i + 1}`, [join(root, 'chaos/processes/worker.ts'), url, ledger, transport]);
  });
  process.once('exit', () => {
    for (const victim of [...engines, ...workers]) victim.killNow();
  });
  const counts = new Map<string, number>();
  try {
    await Promise.all(engines.map((engine) => engine.start()));
    await Promise.all(workers.map((worker) => worker.start()));
    const client = new ChaosClient(urls);
    // An event that comes before its function is registered starts nothing.
    while ((await client.surely((api) => api.listFunctions())).length < 2) await pause(20);
    client.start(Number(values.orders));
    const endAt = Date.now() + minutes * 60_000;
    await Promise.all([
      ...engines.map((engine) => torment(engine, endAt, 6_000, counts)),
      ...workers.map((worker) => torment(worker, endAt, 5_000, counts)),
      ...(store.kill === undefined ? [] : [killStore(store.kill, endAt, counts)]),
    ]);
    console.log(`${storeName}: the chaos is over; ${client.acknowledged.length} orders so far`);
    await client.stop();
    const verdict = await judge(client, ledger);
    await Promise.all(workers.map((worker) => worker.end('SIGTERM')));
    await Promise.all(engines.map((engine) => engine.end('SIGTERM')));
    const findings = await store.examine();
    const broken = [...verdict.broken, ...findings.map((finding) => `The doctor finds nothing: ${finding}`)];
    const did = [...counts].sort().map(([what, count]) => `${count} × ${what}`);
    console.log(
      `${storeName}: ${minutes} min, ${verdict.orders} orders, ${verdict.steps} steps, ${verdict.starts} starts of bodies, ` +
        `${verdict.repeated} of them after a kill; ${client.calls} calls, ${client.failedCalls} failed and were made again; ${did.join(', ')}`,
    );
    for (const line of broken) console.log(`BROKEN ${line}`);
    console.log(`${storeName}: ${broken.length === 0 ? 'every promise held' : `${broken.length} broken promises`}`);
    return broken;
  } finally {
    for (const victim of [...engines, ...workers]) victim.killNow();
    await store.close();
    if (failed.length === 0) rmSync(directory, { recursive: true, force: true });
  }
}

/** Kills or freezes a process again and again, at random times around every `meanMs`. */
async function torment(victim: Victim, endAt: number, meanMs: number, counts: Map<string, number>): Promise<void> {
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const kind = victim.name.split(' ')[0];
  for (;;) {
    const waitMs = Math.random() * 2 * meanMs;
    if (Date.now() + waitMs > endAt) return;
    await pause(waitMs);
    if (Math.random() < 0.6) {
      count(`${kind} killed`);
      await victim.end('SIGKILL');
      await pause(Math.random() * 1_500);
      await victim.start();
    } else {
      count(`${kind} frozen`);
      victim.signal('SIGSTOP');
      await pause(Math.random() < 0.5 ? Math.random() * 2_000 : LEASE_MS + 1_000 + Math.random() * 4_000);
      victim.signal('SIGCONT');
    }
  }
}

async function killStore(kill: () => Promise<void>, endAt: number, counts: Map<string, number>): Promise<void> {
  for (;;) {
    const waitMs = 10_000 + Math.random() * 20_000;
    if (Date.now() + waitMs > endAt) return;
    await pause(waitMs);
    counts.set('database killed', (counts.get('database killed') ?? 0) + 1);
    await kill();
  }
}

async function answers(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok) return;
    await pause(20);
  }
}
