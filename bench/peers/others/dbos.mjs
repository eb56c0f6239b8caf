// DBOS Transact on PostgreSQL. Options:
//   topology  embedded (default): the workflows run in the client's process, as DBOS applications do
//             split: the client enqueues, a worker process takes from a DBOS queue
//   poolsize  connections to the system database (DBOS's default is 10)
//   sync      off: PostgreSQL's synchronous_commit=off, to see what durability costs

import path from 'node:path';
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import { openPostgres } from '../postgres.ts';
import { Program, version } from '../processes.ts';
import { defineWorkflows } from './workers/dbos-workflows.mjs';

export async function open(options) {
  const server = await openPostgres(options.sync);
  const poolSize = Number(options.poolsize ?? 10);
  const opened = await (options.topology === 'split' ? openSplit : openEmbedded)(server.url, poolSize);
  return {
    info: {
      topology: opened.topology,
      durability: server.durability,
      versions: { '@dbos-inc/dbos-sdk': version('@dbos-inc/dbos-sdk'), postgres: server.version },
      settings: { poolSize },
    },
    pids: () => ({ client: process.pid, ...opened.pids, postgres: server.pid }),
    start: opened.start,
    deliver: opened.deliver,
    maintain: server.maintain,
    async close() {
      await opened.close();
      await server.stop();
    },
  };
}

async function openEmbedded(systemDatabaseUrl, systemDatabasePoolSize) {
  const workflows = defineWorkflows(DBOS);
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl,
    logLevel: 'error',
    systemDatabasePoolSize,
    runAdminServer: false,
  });
  await DBOS.launch();
  return {
    topology: 'client and workflows in one process + PostgreSQL',
    pids: {},
    async start(kind, argument, key) {
      const handle = await DBOS.startWorkflow(workflows[kind], { workflowID: key })(argument);
      return { result: () => handle.getResult() };
    },
    deliver: (key) => DBOS.send(key, true, 'answer'),
    close: () => DBOS.shutdown(),
  };
}

async function openSplit(url, poolSize) {
  const worker = new Program(process.execPath, [path.join(import.meta.dirname, './workers/dbos-worker.mjs')], {
    env: { DBOS_URL: url, POOL: String(poolSize) },
  });
  await worker.says(/ready/);
  const client = await DBOSClient.create({ systemDatabaseUrl: url, systemDatabasePoolSize: poolSize });
  return {
    topology: 'client process -> queue in PostgreSQL -> worker process',
    pids: { worker: worker.pid },
    async start(kind, argument, key) {
      const handle = await client.enqueue({ queueName: 'bench', workflowName: kind, workflowID: key }, argument);
      return { result: () => handle.getResult() };
    },
    deliver: (key) => client.send(key, true, 'answer'),
    async close() {
      await client.destroy();
      await worker.stop();
    },
  };
}
