import { createFunction, createWorker } from '@ironflow/node';

const sleeper = createFunction({ id: 'sleeper', triggers: [{ event: 'bench.sleep' }] }, async ({ event, step }) => {
  await step.sleep('long', event.data.ms);
  return step.run('after', () => 'awake');
});
const worker = createWorker({
  serverUrl: process.argv[2],
  functions: [sleeper],
  maxConcurrentJobs: 500,
  logger: false,
});
process.once('SIGTERM', () => void worker.stop());
await worker.start();
