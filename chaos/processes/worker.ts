import { createWorker } from '@ironflow/node';
import { functionsFor } from '../functions.ts';

const [, , serverUrl = '', ledger = ''] = process.argv;
const worker = createWorker({
  serverUrl,
  functions: functionsFor(ledger),
  maxConcurrentJobs: 20,
  heartbeatInterval: 1_000,
  reconnectDelay: 500,
  logger: false,
});
process.once('SIGTERM', () => void worker.stop());
await worker.start();
