import { createWorker } from '@ironflow/node';
import { flat, steps } from '../functions.ts';

const [serverUrl, transport] = process.argv.slice(2);
const worker = createWorker({
  serverUrl,
  transport: transport === 'streaming' ? 'streaming' : 'polling',
  functions: [steps, flat],
  maxConcurrentJobs: 500,
  logger: false,
});
process.once('SIGTERM', () => void worker.stop());
await worker.start();
