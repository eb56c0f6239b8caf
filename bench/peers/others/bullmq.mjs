// BullMQ on Redis: a job queue, not a durable engine. One process adds and works. Options:
//   appendfsync  always (default: syncs before it answers), everysec, no
//   concurrency  default 100

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { one } from '../bodies.ts';
import { freePort, Program, scratch, version, waitPort } from '../processes.ts';

export async function open(options) {
  const program = process.env.REDIS_SERVER ?? 'redis-server';
  const redisVersion = /v=([\d.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1];
  const port = await freePort();
  const directory = scratch('redis');
  const appendfsync = options.appendfsync ?? 'always';
  const concurrency = Number(options.concurrency ?? 100);
  const settings = { port, bind: '127.0.0.1', dir: directory, appendonly: 'yes', appendfsync, save: '' };
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const redis = new Program(program, flags, { cwd: directory });
  await waitPort(port);
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const queue = new Queue('step', { connection, defaultJobOptions: { removeOnComplete: 1000 } });
  const events = new QueueEvents('step', { connection });
  await events.waitUntilReady();
  const worker = new Worker('step', async (job) => [one(job.data.i)], { connection, concurrency });
  worker.on('error', () => {});
  await worker.waitUntilReady();
  const waiting = new Map();
  events.on('completed', ({ jobId, returnvalue }) => {
    waiting.get(jobId)?.(typeof returnvalue === 'string' ? JSON.parse(returnvalue) : returnvalue);
    waiting.delete(jobId);
  });
  const outcome = (key) => new Promise((resolve) => waiting.set(key, resolve));
  return {
    info: {
      topology: 'client and worker in one process + Redis',
      durability: `Redis appendonly, appendfsync=${appendfsync}`,
      versions: { bullmq: version('bullmq'), redis: redisVersion },
      settings: { concurrency },
    },
    pids: () => ({ client: process.pid, redis: redis.pid }),
    async start(_kind, _argument, key) {
      const done = outcome(key);
      await queue.add('step', { i: 0 }, { jobId: key });
      return { result: () => done };
    },
    async startMany(keys) {
      const done = keys.map(outcome);
      await queue.addBulk(keys.map((id) => ({ name: 'step', data: { i: 0 }, opts: { jobId: id } })));
      return done;
    },
    async close() {
      await worker.close(true);
      await events.close();
      await queue.close();
      await redis.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
