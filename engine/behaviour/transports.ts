// The ways a function can be reached, each opened on an engine with SQLite in a temporary directory.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { registrationOf } from '../../src/function/index.ts';
import {
  createClient,
  createWorker,
  type IronflowFunction,
  type RegisterFunctionRequest,
  serve,
  type Worker,
} from '../../src/index.ts';
import type { WarmExecutionsConfig } from '../../src/worker/index.ts';
import { createStreamingWorker } from '../../src/worker-streaming.ts';
import { createEngine, type EmbeddedEngine } from '../src/main.ts';
import { temporaryDirectory } from '../src/test-support/index.ts';
import type { ProvideOptions } from './functions/parts.ts';
import type { BehaviourHarness } from './suite.ts';

interface OpenEngine {
  readonly engine: EmbeddedEngine;
  readonly url: string;
  close(): Promise<void>;
}

async function openEngine(): Promise<OpenEngine> {
  const directory = temporaryDirectory();
  const { port } = await freePort();
  const engine = await createEngine({
    dataDir: directory.path,
    secretKeys,
    push: { publicUrl: `http://localhost:${port}` },
  });
  const { url } = await engine.listen({ port });
  return {
    engine,
    url,
    async close() {
      await engine.close();
      directory.remove();
    },
  };
}

/** What engines of tests seal secrets with. */
export const secretKeys = [Buffer.alloc(32, 'ironflow').toString('base64')];

/** Sets a secret as the command-line does. */
export async function setSecret(engine: EmbeddedEngine, name: string, value: string): Promise<void> {
  const { status } = await engine.fetch('/api/v1/secrets', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, value }),
  });
  if (status >= 300) throw new Error(`the secret was not set: ${status}`);
}

/** A worker for each set of functions, which the engine knows before it is used. */
export class Workers {
  readonly #make: (functions: readonly IronflowFunction[], options: ProvideOptions) => Worker;
  readonly #running: { readonly worker: Worker; readonly working: Promise<void> }[] = [];

  constructor(make: (functions: readonly IronflowFunction[], options: ProvideOptions) => Worker) {
    this.#make = make;
  }

  async provide(functions: readonly IronflowFunction[], options: ProvideOptions = {}): Promise<void> {
    const worker = this.#make(functions, options);
    this.#running.push({ worker, working: worker.start() });
    await worker.ready;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map(({ worker }) => worker.stop()));
    await Promise.all(this.#running.map(({ working }) => working));
  }
}

export async function openInProcess(warmExecutions?: WarmExecutionsConfig | false): Promise<BehaviourHarness> {
  const { engine, close } = await openEngine();
  const workers = new Workers((functions, options) =>
    createWorker({ ...options, functions, engine, warmExecutions, logger: false }),
  );
  return {
    client: createClient({ engine }),
    setSecret: (name, value) => setSecret(engine, name, value),
    provide: (functions, options) => workers.provide(functions, options),
    close: () => workers.stop().then(close),
  };
}

export async function openPolling(warmExecutions?: WarmExecutionsConfig | false): Promise<BehaviourHarness> {
  const { engine, url, close } = await openEngine();
  const workers = new Workers((functions, options) =>
    createWorker({ ...options, functions, serverUrl: url, warmExecutions, logger: false }),
  );
  return {
    client: createClient({ serverUrl: url }),
    setSecret: (name, value) => setSecret(engine, name, value),
    provide: (functions, options) => workers.provide(functions, options),
    close: () => workers.stop().then(close),
  };
}

export async function openStreaming(warmExecutions?: WarmExecutionsConfig | false): Promise<BehaviourHarness> {
  const { engine, url, close } = await openEngine();
  const workers = new Workers((functions, options) =>
    createStreamingWorker({ ...options, functions, serverUrl: url, warmExecutions, logger: false }),
  );
  return {
    client: createClient({ serverUrl: url }),
    setSecret: (name, value) => setSecret(engine, name, value),
    provide: (functions, options) => workers.provide(functions, options),
    close: () => workers.stop().then(close),
  };
}

export async function openPush(): Promise<BehaviourHarness> {
  const { engine, url, close } = await openEngine();
  const client = createClient({ serverUrl: url });
  const servers: ReturnType<typeof createServer>[] = [];
  return {
    client,
    setSecret: (name, value) => setSecret(engine, name, value),
    async provide(functions, options) {
      const handler = serve({ ...options, functions, logger: false, skipVerification: true });
      const server = createServer((request, response) => void handler(request, response));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      servers.push(server);
      const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/ironflow`;
      for (const fn of functions) {
        const { preferredMode, ...registration } = registrationOf(fn, { mode: 'push', endpointUrl, codeHash: '' });
        await client.registerFunction({ ...registration, preferredMode: 'push' } as RegisterFunctionRequest);
      }
    },
    async close() {
      await close();
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

function freePort(): Promise<{ port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve({ port }));
    });
  });
}
