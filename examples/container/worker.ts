// What runs in the container; look at the Dockerfile beside it.

import { setTimeout as delay } from 'node:timers/promises';
import { createFunction, createWorker } from '@ironflow/node';

const render = createFunction(
  // No body takes longer than this. The container is given more than that to stop: see compose.yaml.
  { id: 'render', triggers: [{ event: 'video.uploaded' }], stepTimeout: '45s' },
  async ({ event, step, logger }) => {
    const file = await step.run('render', async ({ signal }) => {
      logger.info(`render: ${event.data.name} begins`);
      await delay(event.data.seconds * 1_000, undefined, { signal }); // the work
      logger.info(`render: ${event.data.name} ends`);
      return `${event.data.name}.webm`;
    });
    return { file };
  },
);

// Where the engine is, and the key for it, come from IRONFLOW_SERVER_URL and IRONFLOW_API_KEY.
const worker = createWorker({ functions: [render], maxConcurrentJobs: 4 });

// What `docker stop`, a deploy, and a machine that is taken away send first. Takes no more jobs, and lets those under way end.
process.once('SIGTERM', () => void worker.drain());

await worker.start(); // until it is drained; then nothing is left to do, and the process ends with 0
console.log('worker: drained');
