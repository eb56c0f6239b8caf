// The reference's chapters on push mode, pull mode, the streaming worker and the client.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient, createFunction, createWorker, serve } from '@ironflow/node';
import { createStreamingWorker } from '@ironflow/node/worker-streaming';
import express from 'express';
import { Hono } from 'hono';
import { expect, onTestFinished, test } from 'vitest';
import { outcome, startWith } from './test-support/index.ts';

const processOrder = createFunction(
  { id: 'process-order', triggers: [{ event: 'order.placed' }] },
  async ({ event, step }) => step.run('total', () => event.data.amount * 2),
);
const signingKey = 'a-key-that-signs';

test('serve() as the route of Next.js, Express and Hono', async () => {
  const POST = serve({ functions: [processOrder], signingKey, logger: false });
  const request = new Request('http://localhost/api/ironflow', { method: 'POST', body: '{}' });
  expect((await POST(request)).status).toBe(401);

  const app = express();
  app.post('/api/ironflow', serve({ functions: [processOrder], signingKey, logger: false }));
  const server = app.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  expect((await fetch(`http://127.0.0.1:${port}/api/ironflow`, { method: 'POST', body: '{}' })).status).toBe(401);

  const hono = new Hono();
  hono.post('/api/ironflow', serve({ functions: [processOrder], signingKey, logger: false }));
  expect((await hono.request('/api/ironflow', { method: 'POST', body: '{}' })).status).toBe(401);
});

test('a function that is served is called by the engine', async () => {
  const { client } = await startWith();
  const handler = serve({ functions: [processOrder], skipVerification: true, logger: false, environment: 'default' });
  const server = createServer((request, response) => void handler(request, response));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/ironflow`;
  await client.registerFunction({ id: 'process-order', triggers: [{ event: 'order.placed' }], endpointUrl });
  expect(await outcome(client, 'order.placed', { amount: 4 })).toMatchObject({ output: 8 });
});

test.each([
  ['polling', createWorker],
  ['streaming', createStreamingWorker],
] as const)('a %s worker with its configuration, drained in the end', async (_, create) => {
  const { client, serverUrl } = await startWith();
  const worker = create({
    serverUrl,
    functions: [processOrder],
    maxConcurrentJobs: 20,
    heartbeatInterval: 30_000,
    reconnectDelay: 5_000,
    labels: { region: 'us-east-1' },
    logger: false,
    environment: 'default',
    apiKey: '',
  });
  const working = worker.start();
  await worker.ready;
  expect(await outcome(client, 'order.placed', { amount: 5 })).toMatchObject({ output: 10 });
  expect(await client.listWorkers()).toContainEqual(expect.objectContaining({ labels: { region: 'us-east-1' } }));
  await worker.drain();
  await working;
});

test('the calls of the client', async () => {
  const slow = createFunction({ id: 'slow', triggers: [{ event: 'slow' }] }, async ({ step }) =>
    step.sleep('long', '1h'),
  );
  const { client, serverUrl } = await startWith(processOrder, slow);
  expect(await createClient({ serverUrl, timeout: 30_000 }).health()).toBe('ok');

  const options = { version: 2, idempotencyKey: 'order-123-placed', metadata: { source: 'api', traceId: 'abc' } };
  const emitted = await client.emit('order.placed', { orderId: '123', amount: 99 }, options);
  expect(await client.emit('order.placed', { orderId: '123', amount: 99 }, options)).toEqual(emitted);
  expect(emitted).toEqual({ eventId: expect.stringMatching(/^evt_/), runIds: [expect.stringMatching(/^run_/)] });
  const [runId = ''] = emitted.runIds;
  await client.waitForRun(runId);
  expect(await client.getRun(runId)).toMatchObject({ status: 'completed', output: 198 });
  expect((await client.trigger('order.placed', { amount: 1 })).runIds).toHaveLength(1);

  const page = await client.listRuns({ functionId: 'process-order', status: 'completed', limit: 1 });
  expect(page.runs).toHaveLength(1);
  expect(page.totalCount).toBeGreaterThanOrEqual(1);

  const { runIds } = await client.emit('slow');
  expect(await client.cancelRun(runIds[0] ?? '', 'no longer needed')).toMatchObject({
    status: 'cancelled',
    error: { code: 'RUN_CANCELLED', message: expect.stringContaining('no longer needed') },
  });
  expect((await client.listFunctions()).map(({ id }) => id).sort()).toEqual(['process-order', 'slow']);
  expect(await client.listWorkers()).toHaveLength(1);
});
