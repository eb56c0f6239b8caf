// The calls of the reference's examples, in our own words, run against an engine. What is declared here stands for the services of
// whoever wrote them.

import { createEngine } from '@ironflow/engine';
import { createClient, createWorker, type IronflowClient, type IronflowFunction } from '@ironflow/node';
import { onTestFinished } from 'vitest';

export interface Started {
  readonly client: IronflowClient;
  readonly serverUrl: string;
  setSecret(name: string, value: string): Promise<void>;
}

/** An engine on a port of its own, and a worker with these functions. */
export async function startWith(...functions: readonly IronflowFunction[]): Promise<Started> {
  const engine = await createEngine({ store: 'memory', secretKeys: [Buffer.alloc(32, 'r').toString('base64')] });
  const { url: serverUrl } = await engine.listen({ port: 0 });
  const worker = createWorker({ serverUrl, functions, logger: false });
  const working = worker.start();
  onTestFinished(async () => {
    await worker.stop();
    await working;
    await engine.close();
  });
  await worker.ready;
  return {
    client: createClient({ serverUrl }),
    serverUrl,
    async setSecret(name, value) {
      await engine.engine.setSecret('default', name, value);
    },
  };
}

/** An engine that lets only those in that have this key. */
export async function startWithKey(apiKey: string): Promise<{ readonly serverUrl: string }> {
  const engine = await createEngine({ store: 'memory', apiKeys: [apiKey] });
  const { url: serverUrl } = await engine.listen({ port: 0 });
  onTestFinished(() => engine.close());
  return { serverUrl };
}

/** Emits, and gives back what the run came to. */
export async function outcome(client: IronflowClient, event: string, data: unknown) {
  const { runIds } = await client.emit(event, data);
  const run = await client.waitForRun(runIds[0] ?? '');
  return { runId: run.id, status: run.status, output: run.output, error: run.error };
}
