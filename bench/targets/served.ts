import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@ironflow/node';
import { Child, freePort, ownCpuSeconds, until } from '../children.ts';
import type { Target } from '../target.ts';

/** An engine process, a worker process that polls, and the client here. */
export function openPolling(): Promise<Target> {
  return openServed('polling', 'an engine process, a polling worker process, the client', async (serverUrl) => ({
    child: new Child('./processes/polling-worker.ts', [serverUrl]),
    isReady: async () => (await createClient({ serverUrl }).listWorkers()).length > 0,
  }));
}

/** An engine process, an application process with a push endpoint, and the client here. */
export function openPush(): Promise<Target> {
  return openServed('push', 'an engine process, an application process with serve(), the client', async (serverUrl) => {
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
  });
}

interface Executor {
  readonly child: Child;
  readonly isReady: () => Promise<boolean>;
}

async function openServed(
  name: string,
  topology: string,
  openExecutor: (serverUrl: string) => Promise<Executor>,
): Promise<Target> {
  const directory = mkdtempSync(join(tmpdir(), 'ironflow-bench-'));
  const port = await freePort();
  const serverUrl = `http://localhost:${port}`;
  const engine = new Child('../engine/src/cli/run.ts', ['serve', '--port', `${port}`, '--data', directory]);
  const client = createClient({ serverUrl });
  await until('the engine answers', async () => (await client.health()) === 'ok');
  const { child, isReady } = await openExecutor(serverUrl);
  await until('the functions are registered', isReady);
  return {
    name,
    topology,
    run: async (input) => (await client.emitSync('bench.steps', input, { timeout: 120_000 })).output,
    flat: async () =>
      (await client.emitSync<{ step10: number; step1000: number }>('bench.flat', {}, { timeout: 120_000 })).output,
    cpuSeconds: () => ({ client: ownCpuSeconds(), engine: engine.cpuSeconds(), functions: child.cpuSeconds() }),
    async close() {
      await child.stop();
      await engine.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
