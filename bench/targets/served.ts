import { createClient } from '@ironflow/node';
import { Child, freePort, ownCpuSeconds, until } from '../children.ts';
import type { BenchStore } from '../stores.ts';
import type { Target } from '../target.ts';

/** An engine process, a worker process, and the client here. */
export function openPulling(store: BenchStore, transport: 'polling' | 'streaming'): Promise<Target> {
  const topology = `an engine process, a ${transport} worker process, the client`;
  return openServed(store, transport, topology, async (serverUrl) => ({
    child: new Child('./processes/worker.ts', [serverUrl, transport]),
    isReady: async () => (await createClient({ serverUrl }).listWorkers()).length > 0,
  }));
}

/** An engine process, an application process with a push endpoint, and the client here. */
export function openPush(store: BenchStore): Promise<Target> {
  return openServed(
    store,
    'push',
    'an engine process, an application process with serve(), the client',
    async (serverUrl) => {
      const port = await freePort();
      const endpointUrl = `http://localhost:${port}/api/ironflow`;
      return {
        child: new Child('./processes/push-endpoint.ts', [`${port}`]),
        isReady: async () => {
          await fetch(endpointUrl, { method: 'POST', body: '{}' });
          const client = createClient({ serverUrl });
          for (const name of ['steps', 'flat']) {
            await client.registerFunction({ id: `bench-${name}`, triggers: [{ event: `bench.${name}` }], endpointUrl });
          }
          return true;
        },
      };
    },
  );
}

interface Executor {
  readonly child: Child;
  readonly isReady: () => Promise<boolean>;
}

async function openServed(
  store: BenchStore,
  name: string,
  topology: string,
  openExecutor: (serverUrl: string) => Promise<Executor>,
): Promise<Target> {
  const port = await freePort();
  const serverUrl = `http://localhost:${port}`;
  const engine = new Child('../engine/src/cli/run.ts', ['serve', '--port', `${port}`, ...store.args]);
  const client = createClient({ serverUrl });
  await until('the engine answers', async () => (await client.health()) === 'ok');
  const { child, isReady } = await openExecutor(serverUrl);
  await until('the functions are registered', isReady);
  return {
    name,
    topology: `${topology}; ${store.name}`,
    run: async (input) => (await client.emitSync('bench.steps', input, { timeout: 120_000 })).output,
    flat: async () =>
      (await client.emitSync<{ step10: number; step1000: number }>('bench.flat', {}, { timeout: 120_000 })).output,
    cpuSeconds: () => ({ client: ownCpuSeconds(), engine: engine.cpuSeconds(), functions: child.cpuSeconds() }),
    async close() {
      await child.stop();
      await engine.stop();
      await store.close();
    },
  };
}

/** Two engine processes on one store, a polling worker process at each, and a client here that calls both in turn. */
export async function openTwoEngines(store: BenchStore): Promise<Target> {
  const ports = [await freePort(), await freePort()];
  const urls = ports.map((port) => `http://localhost:${port}`);
  const engines = ports.map(
    (port) => new Child('../engine/src/cli/run.ts', ['serve', '--port', `${port}`, ...store.args]),
  );
  const clients = urls.map((serverUrl) => createClient({ serverUrl }));
  for (const client of clients) await until('the engines answer', async () => (await client.health()) === 'ok');
  const workers = urls.map((url) => new Child('./processes/worker.ts', [url]));
  await until('the workers are there', async () => (await clients[0]?.listWorkers())?.length === 2);
  let next = 0;
  const emit = async <T>(event: string, data: Readonly<Record<string, unknown>>) => {
    const client = clients[next++ % clients.length];
    if (client === undefined) throw new TypeError('there is a client for each engine');
    return (await client.emitSync<T>(event, data, { timeout: 120_000 })).output;
  };
  const sum = (children: readonly Child[]) => children.reduce((total, child) => total + child.cpuSeconds(), 0);
  return {
    name: 'polling, two engines',
    topology: `two engine processes, a polling worker process at each, the client; ${store.name}`,
    run: (input) => emit('bench.steps', input),
    flat: () => emit('bench.flat', {}),
    cpuSeconds: () => ({ client: ownCpuSeconds(), engines: sum(engines), functions: sum(workers) }),
    async close() {
      for (const child of [...workers, ...engines]) await child.stop();
      await store.close();
    },
  };
}
