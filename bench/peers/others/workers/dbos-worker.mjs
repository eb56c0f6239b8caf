// A DBOS worker process, for the topology `split`: takes workflows from a queue.

import { DBOS } from '@dbos-inc/dbos-sdk';
import { defineWorkflows } from './dbos-workflows.mjs';

defineWorkflows(DBOS);
DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: process.env.DBOS_URL,
  logLevel: 'error',
  systemDatabasePoolSize: Number(process.env.POOL),
  runAdminServer: false,
});
await DBOS.launch();
await DBOS.registerQueue('bench');
console.log('ready');
process.on('SIGTERM', () => DBOS.shutdown().finally(() => process.exit(0)));
