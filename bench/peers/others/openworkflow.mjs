// OpenWorkflow: client and worker in one process. Options:
//   backend      postgres (default), sqlite (node:sqlite, WAL, synchronous at its default FULL)
//   concurrency  workflows at a time (default 100)
//   poll         milliseconds between two looks of a waiting client (default 10; the library's own value is 1000)

import { rmSync } from 'node:fs';
import path from 'node:path';
import { OpenWorkflow } from 'openworkflow';
import { large, one, stamped, timeSteps } from '../bodies.ts';
import { openPostgres } from '../postgres.ts';
import { scratch, sleep, version } from '../processes.ts';

export async function open(options) {
  const store = await (options.backend === 'sqlite' ? openSqliteStore() : openPostgresStore(options.sync));
  const concurrency = Number(options.concurrency ?? 100);
  const every = Number(options.poll ?? 10);
  const workflows = defineWorkflows(new OpenWorkflow({ backend: store.backend }));
  const worker = workflows.owner.newWorker({ concurrency });
  await worker.start();
  return {
    info: {
      topology: `client and worker in one process${store.topology}`,
      durability: store.durability,
      versions: { openworkflow: version('openworkflow'), ...store.versions },
      settings: { concurrency, pollMs: every },
    },
    pids: () => ({ client: process.pid, ...store.pids }),
    async start(kind, n, key) {
      const handle = await workflows.byKind[kind].run({ n, key }, { idempotencyKey: key });
      handle.resultPollIntervalMs = every;
      return { result: () => handle.result({ timeoutMs: 600_000 }) };
    },
    async deliver(key) {
      // A signal that nobody waits for yet is dropped.
      while ((await workflows.owner.sendSignal({ signal: key })).workflowRunIds.length === 0) await sleep(every);
    },
    maintain: store.maintain,
    async close() {
      await worker.stop();
      await store.backend.stop();
      await store.close();
    },
  };
}

function defineWorkflows(owner) {
  const run = (step, i, body) => step.run({ name: `step ${i}` }, body);
  const handlers = {
    async seq(step, n) {
      const results = [];
      for (let i = 0; i < n; i++) results.push(await run(step, i, () => one(i)));
      return results;
    },
    fan: (step, n) => Promise.all(Array.from({ length: n }, (_, i) => run(step, i, () => one(i)))),
    async nap(step, ms) {
      const before = await run(step, 0, () => stamped(0));
      await step.sleep('nap', `${ms}ms`);
      return [before, await run(step, 1, () => stamped(1))];
    },
    async wait(step, _, key) {
      await step.waitForSignal({ name: 'answer', signal: key });
      return [await run(step, 0, () => stamped(0))];
    },
    first: async (step) => [await run(step, 0, () => stamped(0))],
    large: async (step, bytes) => [await run(step, 0, () => large(bytes))],
    flat: (step, n) => timeSteps(n, (i) => run(step, i, () => one(i))),
  };
  const byKind = Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      owner.defineWorkflow({ name }, ({ input, step }) => handler(step, input.n, input.key)),
    ]),
  );
  return { owner, byKind };
}

async function openSqliteStore() {
  const { BackendSqlite } = await import('openworkflow/sqlite');
  const directory = scratch('openworkflow');
  return {
    backend: BackendSqlite.connect(path.join(directory, 'ow.db')),
    topology: ', SQLite in it',
    durability: 'SQLite WAL synchronous=FULL (default)',
    versions: { sqlite: process.versions.sqlite },
    pids: {},
    close: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

async function openPostgresStore(sync) {
  const { BackendPostgres } = await import('openworkflow/postgres');
  const server = await openPostgres(sync);
  return {
    backend: await BackendPostgres.connect(server.url),
    topology: ' + PostgreSQL',
    durability: server.durability,
    versions: { postgres: server.version },
    pids: { postgres: server.pid },
    maintain: server.maintain,
    close: () => server.stop(),
  };
}
