import { createWorker } from '@ironflow/node';
import { steps } from '../functions.ts';

const worker = createWorker({ serverUrl: process.argv[2], functions: [steps], maxConcurrentJobs: 500, logger: false });
process.once('SIGTERM', () => void worker.stop());
await worker.start();
