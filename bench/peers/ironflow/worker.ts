// An Ironflow worker process: node worker.ts <server URL> <transport>

import { createWorker, type WorkerConfig } from '@ironflow/node';
import { functions } from './functions.ts';

const [serverUrl, transport] = process.argv.slice(2);
const worker = createWorker({
  ...(serverUrl !== undefined && { serverUrl }),
  transport: transport as NonNullable<WorkerConfig['transport']>, // the adapter has looked whether there is such a one
  functions,
  maxConcurrentJobs: 1_000,
  logger: false,
});
process.once('SIGTERM', () => void worker.stop());
await worker.start();
