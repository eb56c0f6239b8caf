// Pull: a worker in a process of its own takes its jobs from the engine, and leaves in peace when it is told to.
//
//   npm start                             in one terminal: an engine
//   npx node examples/worker/worker.ts    in another: this; stop it with Ctrl-C
//
// Then give it something to do, from a third:
//
//   curl -X POST localhost:9123/api/v1/events -H 'content-type: application/json' \
//     -d '{"name":"image.uploaded","data":{"name":"cat.png"}}'
//
// Look at the signal handler. drain() takes no more jobs and lets those under way end; what a killed worker was doing is taken
// up by another one, from its last stored step.

import { createFunction, createWorker } from '@ironflow/node';

const resize = createFunction(
  { id: 'resize', triggers: [{ event: 'image.uploaded' }], retry: { maxAttempts: 5 } },
  async ({ event, step }) => {
    const sizes = await step.map('sizes', [320, 640, 1280], (width, branch) =>
      branch.run('resize', async () => {
        console.log(`step: ${event.data.name} to ${width}`);
        await new Promise((resolve) => setTimeout(resolve, 400)); // the work
        return `${width}-${event.data.name}`;
      }),
    );
    console.log(`done: ${event.data.name}`);
    return sizes;
  },
);

const worker = createWorker({ functions: [resize], maxConcurrentJobs: 5, labels: { example: 'worker' } });

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, async () => {
    await worker.drain();
    console.log('worker: drained');
  });
}

// Resolves when the worker has stopped. A lost connection is no reason to: it connects again by itself.
await worker.start();
