// `@ironflow/node/worker-streaming`: a worker that keeps one stream to the engine open.

import { createWorker, type Worker, type WorkerConfig } from './worker/index.ts';

export type { Worker, WorkerConfig } from './worker/index.ts';

/**
 * Makes a worker that takes its jobs, and reports on them, over one stream: the least time between two steps.
 * The same as `createWorker({ ...config, transport: 'streaming' })`.
 * @throws {ValidationError} when the config is wrong.
 * @example
 * const worker = createStreamingWorker({ functions: [processOrder] });
 * process.on('SIGTERM', () => worker.drain());
 * await worker.start();
 */
export function createStreamingWorker(config: Omit<WorkerConfig, 'transport'>): Worker {
  return createWorker({ ...config, transport: 'streaming' });
}
