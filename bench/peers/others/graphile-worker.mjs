// graphile-worker on PostgreSQL: a job queue, not a durable engine. One process adds and runs jobs. Options:
//   concurrency  default 10
//   localqueue   jobs fetched at a time (default 100; 0 fetches one at a time)

import { EventEmitter } from 'node:events';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { one } from '../bodies.ts';
import { openPostgres } from '../postgres.ts';
import { version } from '../processes.ts';

export async function open(options) {
  const server = await openPostgres(options.sync);
  const concurrency = Number(options.concurrency ?? 10);
  const localQueue = Number(options.localqueue ?? 100);
  const waiting = new Map();
  const events = new EventEmitter();
  events.on('job:complete', ({ job, error }) => {
    const waiter = waiting.get(job.payload.id);
    if (!waiter) return;
    waiting.delete(job.payload.id);
    if (error) waiter.reject(error);
    else waiter.resolve(waiter.value);
  });
  const pools = { connectionString: server.url, maxPoolSize: 10, logger: new Logger(() => () => {}) };
  const utils = await makeWorkerUtils(pools);
  await utils.migrate();
  const batched = { localQueue: { size: localQueue }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
  const runner = await run({
    ...pools,
    events,
    noHandleSignals: true,
    concurrency,
    preset: {
      worker: {
        maxPoolSize: 10,
        connectionString: server.url,
        concurrentJobs: concurrency,
        ...(localQueue > 0 && batched),
      },
    },
    taskList: {
      async step({ id, i }) {
        const waiter = waiting.get(id);
        if (waiter) waiter.value = [one(i)];
      },
    },
  });
  const outcome = (key) => new Promise((resolve, reject) => waiting.set(key, { resolve, reject }));
  return {
    info: {
      topology: 'client and worker in one process + PostgreSQL',
      durability: server.durability,
      versions: { 'graphile-worker': version('graphile-worker'), postgres: server.version },
      settings: { concurrency, localQueue },
    },
    pids: () => ({ client: process.pid, postgres: server.pid }),
    async start(_kind, _argument, key) {
      const done = outcome(key);
      await utils.addJob('step', { id: key, i: 0 });
      return { result: () => done };
    },
    async startMany(keys) {
      const done = keys.map(outcome);
      await utils.addJobs(keys.map((id) => ({ identifier: 'step', payload: { id, i: 0 } })));
      return done;
    },
    maintain: server.maintain,
    async close() {
      await runner.stop();
      await utils.release();
      await server.stop();
    },
  };
}
