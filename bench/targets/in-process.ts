import { createEngine } from '@ironflow/engine';
import { createClient, createWorker } from '@ironflow/node';
import { PostgresStore } from '../../engine/src/store/postgres/index.ts';
import { ownCpuSeconds } from '../children.ts';
import { flat, steps } from '../functions.ts';
import type { BenchStore } from '../stores.ts';
import type { Target } from '../target.ts';

export async function openInProcess(store: BenchStore): Promise<Target> {
  const engine = await createEngine(store.options);
  const worker = createWorker({ functions: [steps, flat], engine, maxConcurrentJobs: 500, logger: false });
  const client = createClient({ engine });
  const working = worker.start();
  await worker.ready;
  return {
    name: 'in-process',
    topology: `engine, worker and client in one process; ${store.name}`,
    run: async (input) => (await client.emitSync('bench.steps', input, { timeout: 120_000 })).output,
    flat: async () =>
      (await client.emitSync<{ step10: number; step1000: number }>('bench.flat', {}, { timeout: 120_000 })).output,
    roundTrips: () => {
      const { store: opened } = engine.engine;
      return opened instanceof PostgresStore ? opened.stats.flushes : undefined;
    },
    cpuSeconds: () => ({ all: ownCpuSeconds() }),
    async close() {
      await worker.stop();
      await working;
      await engine.close();
      await store.close();
    },
  };
}
