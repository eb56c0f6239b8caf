// This engine. Options:
//   transport  in-process (default): engine, worker and client in one process
//              streaming, polling: an engine process, a worker process, the client
//              push: an engine process, an application process with serve(), the client
//   store      sqlite (default), postgres

import { rmSync } from 'node:fs';
import { createEngine, type StoreOptions } from '@ironflow/engine';
import { createClient, createWorker } from '@ironflow/node';
import { Child, freePort, until } from '../../children.ts';
import { type Contender, NotAvailableError, type Options, type Started } from '../contender.ts';
import { openPostgres } from '../postgres.ts';
import { scratch, version } from '../processes.ts';
import type { WorkflowKind } from '../workflow-kinds.ts';
import { functions } from './functions.ts';

type Client = ReturnType<typeof createClient>;

interface OpenStore {
  readonly options: StoreOptions;
  /** The same for `ironflow serve`. */
  readonly args: readonly string[];
  readonly durability: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly pids: Readonly<Record<string, number>>;
  maintain?(): Promise<void>;
  close(): Promise<void>;
}

export async function open(options: Options): Promise<Contender> {
  const { transport = 'in-process', store: storeName = 'sqlite' } = options;
  if (transport === 'streaming') await findStreaming();
  const store = await (storeName === 'postgres' ? openPostgresStore() : openSqliteStore());
  const opened = await (transport === 'in-process' ? openInProcess(store) : openServed(store, transport));
  return {
    info: {
      topology: `${opened.topology}${storeName === 'postgres' ? ' + PostgreSQL' : ''}`,
      durability: store.durability,
      versions: { '@ironflow/engine': version('@ironflow/engine'), ...store.versions },
    },
    pids: () => ({ client: process.pid, ...opened.pids, ...store.pids }),
    start: (kind, argument, key) => start(opened.client, kind, argument, key),
    deliver: async (key) => void (await opened.client.emit('bench.answer', { key })),
    ...(store.maintain !== undefined && { maintain: store.maintain }),
    async close() {
      await opened.close();
      await store.close();
    },
  };
}

/** Room for jobs, in every transport. */
const JOBS_MAX = 1_000;

/** What a run of these kinds takes is long, so it is started first and asked for later. */
const STARTED_FIRST: ReadonlySet<WorkflowKind> = new Set(['nap', 'wait']);

const WAIT_MS = 600_000;

async function start(client: Client, kind: WorkflowKind, argument: number, key: string): Promise<Started> {
  const event = `bench.${kind}`;
  const data = { argument, key };
  if (!STARTED_FIRST.has(kind)) {
    const answer = client.emitSync(event, data, { timeout: WAIT_MS });
    answer.catch(() => {}); // whoever asks for the result is told
    return { result: async () => (await answer).output };
  }
  const { runIds } = await client.emit(event, data);
  const [runId] = runIds;
  if (runId === undefined) throw new Error(`the event ${event} started nothing`);
  return {
    async result() {
      const run = await client.waitForRun(runId, { timeout: WAIT_MS });
      if (run.status !== 'completed') throw new Error(`run ${runId} is ${run.status}: ${run.error?.message}`);
      return run.output;
    },
  };
}

/** @throws {NotAvailableError} when this version of the SDK has no streaming worker. */
async function findStreaming(): Promise<void> {
  const entryPoint: string = '@ironflow/node/worker-streaming';
  try {
    await import(entryPoint);
  } catch (error) {
    throw new NotAvailableError('this version has no streaming worker', { cause: error });
  }
}

async function openSqliteStore(): Promise<OpenStore> {
  const dataDir = scratch('ironflow');
  return {
    options: { dataDir },
    args: ['--data', dataDir],
    durability: 'SQLite WAL synchronous=FULL',
    versions: { sqlite: process.versions['sqlite'] ?? 'unknown' },
    pids: {},
    close: async () => rmSync(dataDir, { recursive: true, force: true }),
  };
}

async function openPostgresStore(): Promise<OpenStore> {
  const server = await openPostgres();
  const url = server.url as `postgres://${string}`;
  return {
    options: { store: url },
    args: ['--store', url],
    durability: server.durability,
    versions: { postgres: server.version },
    pids: { postgres: server.pid },
    maintain: server.maintain,
    close: () => server.stop(),
  };
}

interface Opened {
  readonly topology: string;
  readonly client: Client;
  readonly pids: Readonly<Record<string, number>>;
  close(): Promise<void>;
}

async function openInProcess(store: OpenStore): Promise<Opened> {
  const engine = await createEngine(store.options);
  const worker = createWorker({ functions, engine, maxConcurrentJobs: JOBS_MAX, logger: false });
  const working = worker.start();
  await worker.ready;
  return {
    topology: 'engine, worker and client in one process',
    client: createClient({ engine }),
    pids: {},
    async close() {
      await worker.stop();
      await working;
      await engine.close();
    },
  };
}

async function openServed(store: OpenStore, transport: string): Promise<Opened> {
  const port = await freePort();
  const serverUrl = `http://localhost:${port}`;
  const room = transport === 'push' ? ['--push-concurrency', `${JOBS_MAX}`] : [];
  const engine = new Child('../engine/src/cli/run.ts', ['serve', '--port', `${port}`, ...room, ...store.args]);
  const client = createClient({ serverUrl });
  await until('the engine answers', async () => (await client.health()) === 'ok');
  const executor = await (transport === 'push' ? openEndpoint(client) : openWorker(client, serverUrl, transport));
  return {
    topology:
      transport === 'push'
        ? 'client process -> engine process -> application process with serve()'
        : `client process -> engine process <- worker process, ${transport}`,
    client,
    pids: { engine: engine.pid, worker: executor.pid },
    async close() {
      await executor.stop();
      await engine.stop();
    },
  };
}

async function openWorker(client: Client, serverUrl: string, transport: string): Promise<Child> {
  const worker = new Child('./peers/ironflow/worker.ts', [serverUrl, transport]);
  await until('the worker is there', async () => (await client.listWorkers()).length > 0);
  return worker;
}

async function openEndpoint(client: Client): Promise<Child> {
  const port = await freePort();
  const endpointUrl = `http://localhost:${port}/api/ironflow`;
  const endpoint = new Child('./peers/ironflow/endpoint.ts', [`${port}`]);
  await until(
    'the endpoint answers',
    async () => (await fetch(endpointUrl, { method: 'POST', body: '{}' })).status > 0,
  );
  for (const { id } of functions)
    await client.registerFunction({ id, triggers: [{ event: id.replace('-', '.') }], endpointUrl });
  return endpoint;
}
