// The same functions on PostgreSQL with two engines: workers are connected to one, the client calls the other.

import { afterAll, beforeAll } from 'vitest';
import { createClient, createWorker } from '../../src/index.ts';
import { createEngine, type EmbeddedEngine } from '../src/main.ts';
import { startPostgres, type TestPostgres } from '../src/test-support/postgres.ts';
import { type BehaviourHarness, describeBehaviour } from './suite.ts';
import { secretKeys, setSecret, Workers } from './transports.ts';

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
}, 60_000);
afterAll(() => server.stop());

async function openTwo(): Promise<{ readonly engines: readonly EmbeddedEngine[]; close(): Promise<void> }> {
  const schema = server.freshSchema();
  const store = `${server.url}?schema=${schema}` as `postgres://${string}`;
  const engines = await Promise.all([createEngine({ store, secretKeys }), createEngine({ store, secretKeys })]);
  return {
    engines,
    async close() {
      await Promise.all(engines.map((engine) => engine.close()));
      await server.dropSchema(schema);
    },
  };
}

async function openPulling(transport: 'polling' | 'streaming'): Promise<BehaviourHarness> {
  const { engines, close } = await openTwo();
  const [first, second] = engines;
  if (first === undefined || second === undefined) throw new Error('two engines were asked for');
  const [{ url }, other] = await Promise.all([first.listen({ port: 0 }), second.listen({ port: 0 })]);
  const workers = new Workers((functions, options) =>
    createWorker({ ...options, functions, serverUrl: url, transport, logger: false }),
  );
  return {
    client: createClient({ serverUrl: other.url }),
    setSecret: (name, value) => setSecret(second, name, value),
    provide: (functions, options) => workers.provide(functions, options),
    close: () => workers.stop().then(close),
  };
}

async function openInProcess(): Promise<BehaviourHarness> {
  const { engines, close } = await openTwo();
  const [first, second] = engines;
  if (first === undefined || second === undefined) throw new Error('two engines were asked for');
  const workers = new Workers((functions, options) =>
    createWorker({ ...options, functions, engine: first, logger: false }),
  );
  return {
    client: createClient({ engine: second }),
    setSecret: (name, value) => setSecret(second, name, value),
    provide: (functions, options) => workers.provide(functions, options),
    close: () => workers.stop().then(close),
  };
}

describeBehaviour('polling and two engines on PostgreSQL', () => openPulling('polling'));
describeBehaviour('streaming and two engines on PostgreSQL', () => openPulling('streaming'));
describeBehaviour('in-process and two engines on PostgreSQL', openInProcess);
