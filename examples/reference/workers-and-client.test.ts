// The reference's chapters on push mode, pull mode, the streaming worker and the client.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createClient,
  createEventDefinitionRegistry,
  createFunction,
  createWorker,
  defineEvent,
  serve,
} from '@ironflow/node';
import { createStreamingWorker } from '@ironflow/node/worker-streaming';
import express from 'express';
import { Hono } from 'hono';
import { expect, onTestFinished, test, vi } from 'vitest';
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

test('a function that is served is called by the engine, with its events lifted to their latest version', async () => {
  const { client, serverUrl } = await startWith();
  const eventDefinitions = createEventDefinitionRegistry();
  eventDefinitions.register(defineEvent({ name: 'order.placed', version: 1 }));
  const lift = (data: unknown) => ({ amount: (data as { total: number }).total });
  eventDefinitions.register(defineEvent({ name: 'order.placed', version: 2, upcast: lift }));
  const handler = serve({
    functions: [processOrder],
    signingKey,
    skipVerification: true,
    logger: false,
    environment: 'default',
    eventDefinitions,
    serverUrl,
  });
  const server = createServer((request, response) => void handler(request, response));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/ironflow`;
  await client.registerFunction({ id: 'process-order', triggers: [{ event: 'order.placed' }], endpointUrl });
  expect(await outcome(client, 'order.placed', { total: 4 })).toMatchObject({ output: 8 });
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

test('retryRun, resumeRun and patchStep: a failed run goes on, from a step, and with another output', async () => {
  let works = false;
  const calls: string[] = [];
  const flaky = createFunction(
    { id: 'flaky', triggers: [{ event: 'e' }], retry: { maxAttempts: 1 } },
    async ({ step }) => {
      const price = await step.run('validate', async () => {
        calls.push('validate');
        return { amount: 1 };
      });
      return step.run('charge-card', async () => {
        calls.push('charge-card');
        if (!works) throw new Error('the bank is down');
        return price.amount;
      });
    },
  );
  const { client } = await startWith(flaky);
  const failed = async () => (await outcome(client, 'e', {})).runId;
  const [again, fromStep, resumed, resumedFromStep, patched] = [
    await failed(),
    await failed(),
    await failed(),
    await failed(),
    await failed(),
  ];
  works = true;
  const end = async (runId: string) => (await client.waitForRun(runId)).output;
  const callsOf = async (go: () => Promise<unknown>, runId: string) => {
    calls.length = 0;
    await go();
    return [await end(runId), ...calls];
  };
  expect(await callsOf(() => client.retryRun(again), again)).toEqual([1, 'charge-card']);
  expect(await callsOf(() => client.retryRun(fromStep, 'validate'), fromStep)).toEqual([1, 'validate', 'charge-card']);
  expect(await callsOf(() => client.resumeRun(resumed), resumed)).toEqual([1, 'charge-card']);
  expect(await callsOf(() => client.resumeRun(resumedFromStep, 'charge-card'), resumedFromStep)).toEqual([
    1,
    'charge-card',
  ]);

  const { steps } = await client.getRunSteps(patched);
  const stepId = steps.find(({ name }) => name === 'validate')?.id ?? '';
  await client.patchStep(stepId, { amount: 42 }, 'fix bad data');
  expect(await callsOf(() => client.resumeRun(patched), patched)).toEqual([42, 'charge-card']);
});

test('runs page by page, with their number', async () => {
  const { client } = await startWith(processOrder);
  const started: string[] = [];
  for (const amount of [1, 2, 3]) started.push((await outcome(client, 'order.placed', { amount })).runId);
  const first = await client.listRuns({ limit: 2 });
  const second = await client.listRuns({ limit: 2, ...(first.nextCursor && { cursor: first.nextCursor }) });
  expect([...first.runs, ...second.runs].map(({ id }) => id)).toEqual(started.reverse());
  expect([first.totalCount, second.nextCursor]).toEqual([3, undefined]);
});

test('publish, listTopics and getTopicStats', async () => {
  const { client } = await startWith();
  const result = await client.publish('notifications', { userId: '123', message: 'Hello!' });
  expect(result).toEqual({ eventId: expect.any(String), sequence: 1 });
  const once = { idempotencyKey: 'once' };
  expect(await client.publish('notifications', {}, once)).toEqual(await client.publish('notifications', {}, once));
  expect(await client.listTopics()).toEqual([
    expect.objectContaining({ name: 'notifications', messageCount: 2, consumerCount: 0 }),
  ]);
  expect(await client.getTopicStats('notifications')).toMatchObject({
    messageCount: 2,
    lag: 2,
    consumerCount: 0,
    firstSeq: 1,
    lastSeq: 2,
  });
});

test('SIGTERM drains a worker in the way that the chapter shows, and its process ends', async () => {
  const { client, serverUrl } = await startWith();
  const program = `
    import { createFunction, createWorker } from '@ironflow/node';
    const slow = createFunction({ id: 'slow', triggers: [{ event: 'slow' }] }, async ({ step }) =>
      step.run('body', async () => {
        console.log('body');
        await new Promise((resolve) => process.once('SIGTERM', resolve));
        return 'ended';
      }));
    const worker = createWorker({ serverUrl: '${serverUrl}', functions: [slow] });
    process.on('SIGTERM', async () => {
      await worker.drain();
      process.exit(0);
    });
    await worker.start();`;
  const args = ['--conditions=ironflow-source', '--input-type=module', '--eval', program];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await vi.waitFor(() => expect(output).toContain('is connected to'), 10_000);
  const { runIds } = await client.emit('slow');
  await vi.waitFor(() => expect(output).toContain('body'), 10_000);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  expect(await client.waitForRun(runIds[0] ?? '')).toMatchObject({ status: 'completed', output: 'ended' });
});
