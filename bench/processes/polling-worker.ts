import { createWorker } from '@ironflow/node';
import { flat, steps } from '../functions.ts';

const worker = createWorker({
  serverUrl: process.argv[2],
  functions: [steps, flat],
  maxConcurrentJobs: 500,
  logger: false,
});
process.once('SIGTERM', () => void worker.stop());
await worker.start();
