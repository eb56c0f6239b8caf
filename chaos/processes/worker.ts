import { createWorker } from '@ironflow/node';
import { functionsFor } from '../functions.ts';

const [, , serverUrl = '', ledger = '', transport = 'polling'] = process.argv;
const worker = createWorker({
  serverUrl,
  transport: transport === 'streaming' ? 'streaming' : 'polling',
  functions: functionsFor(ledger),
  maxConcurrentJobs: 20,
  heartbeatInterval: 1_000,
  reconnectDelay: 500,
  logger: false,
});
process.once('SIGTERM', () => void worker.stop());
await worker.start();
