// pg-boss on PostgreSQL: a job queue, not a durable engine. One process sends and works. Options:
//   batch    jobs a fetch (default 1000)
//   workers  default 2; the shortest poll of each is every 0.5 s

import { PgBoss } from 'pg-boss';
import { one } from '../bodies.ts';
import { openPostgres } from '../postgres.ts';
import { sleep, version } from '../processes.ts';

export async function open(options) {
  const server = await openPostgres(options.sync);
  const batchSize = Number(options.batch ?? 1000);
  const workers = Number(options.workers ?? 2);
  const boss = new PgBoss({ connectionString: server.url, max: 20, supervise: false, schedule: false });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue('step');
  const waiting = new Map();
  for (let worker = 0; worker < workers; worker++) {
    await boss.work('step', { batchSize, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      for (const { data } of jobs) {
        waiting.get(data.id)?.([one(data.i)]);
        waiting.delete(data.id);
      }
    });
  }
  const outcome = (key) => new Promise((resolve) => waiting.set(key, resolve));
  const left = async () => {
    const [row] = await server.query("SELECT count(*) FROM pgboss.job WHERE name = 'step' AND state < 'completed'");
    return Number(row.count);
  };
  return {
    info: {
      topology: 'client and worker in one process + PostgreSQL',
      durability: server.durability,
      versions: { 'pg-boss': version('pg-boss'), postgres: server.version },
      settings: { batchSize, workers },
    },
    pids: () => ({ client: process.pid, postgres: server.pid }),
    async start(_kind, _argument, key) {
      const done = outcome(key);
      await boss.send('step', { id: key, i: 0 });
      return { result: () => done };
    },
    async startMany(keys) {
      const done = keys.map(outcome);
      await boss.insert(
        'step',
        keys.map((id) => ({ data: { id, i: 0 } })),
      );
      return done;
    },
    async settled() {
      for (let looks = 0; looks < 600 && (await left()) > 0; looks++) await sleep(50);
    },
    maintain: server.maintain,
    async close() {
      process.on('uncaughtException', () => {}); // of connections that the server's end breaks
      await boss.stop({ graceful: false, timeout: 2000 });
      await server.stop();
    },
  };
}
