// What a client and a worker are told when something is refused, over a real socket.

import { expect, onTestFinished, test } from 'vitest';
import { createClient, createFunction, createWorker } from '../../src/index.ts';
import { createEngine } from '../src/main.ts';
import { eventually } from '../src/test-support/eventually.ts';

async function open(options: Parameters<typeof createEngine>[0] = {}) {
  const engine = await createEngine({ store: 'memory', ...options });
  onTestFinished(() => engine.close());
  const { url } = await engine.listen({ port: 0 });
  return { engine, url, client: createClient({ serverUrl: url }) };
}

test('an error of a Connect call tells what it is about', async () => {
  const { client } = await open();
  await expect(client.getRun('run_nope')).rejects.toMatchObject({
    code: 'RUN_NOT_FOUND',
    message: expect.stringContaining('run_nope'),
    details: { runId: 'run_nope' },
  });
  await expect(client.registerFunction({ id: 'f', triggers: [{}] })).rejects.toMatchObject({
    code: 'VALIDATION_ERROR',
    validationErrors: [{ path: 'triggers.0', message: expect.any(String) }],
  });
});

test('what is no JSON is refused before it is sent, as a step would refuse it', async () => {
  const { client, engine } = await open();
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  for (const one of [client, createClient({ engine })]) {
    await expect(one.emit('e', { n: 1n })).rejects.toMatchObject({
      code: 'NOT_SERIALIZABLE',
      retryable: false,
      message: expect.stringMatching(/BigInt\. Pass plain data/),
    });
    await expect(one.publish('t', circular)).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
  }
});

test('a worker whose registration is refused for good ends with the reason', async () => {
  const { url } = await open();
  const wrong = createFunction({ id: 'f', triggers: [{ event: 'e', expression: 'event.data >' }] }, async () => 1);
  const worker = createWorker({ functions: [wrong], serverUrl: url, logger: false });
  await expect(worker.start()).rejects.toMatchObject({
    code: 'FUNCTION_REGISTRATION_FAILED',
    status: 400,
    message: expect.stringContaining('cannot be used'),
  });
});

test('a worker has the lease of its engine, and sends heartbeats often enough for it', async () => {
  const leaseMs = 900;
  const { url, client } = await open({ leaseMs });
  const fn = createFunction({ id: 'slow', triggers: [{ event: 'slow' }] }, async ({ step }) =>
    step.run('wait', async ({ attempt }) => {
      // Until it is heard of when the lease that it began with would be over; without heartbeats, nobody lists it by then.
      const startedAt = Date.now();
      const [worker] = await eventually(
        () => client.listWorkers(),
        ([listed]) => listed === undefined || Date.parse(listed.last_heartbeat) > startedAt + leaseMs,
      );
      expect(worker).toBeDefined();
      return attempt;
    }),
  );
  const worker = createWorker({ functions: [fn], serverUrl: url, logger: false });
  const working = worker.start();
  await worker.ready;
  expect((await client.emitSync('slow')).output).toBe(1);
  const [run] = (await client.listRuns({ functionId: 'slow' })).runs;
  expect((await client.getRunSteps(run?.id ?? '')).attempts).toEqual([]);
  await worker.stop();
  await working;
});

test('a worker is ready when an event starts its functions, beside its engine too, and can be stopped before', async () => {
  const { engine, url, client } = await open();
  for (const where of [{ engine }, { serverUrl: url }]) {
    const id = 'engine' in where ? 'inside' : 'outside';
    const fn = createFunction({ id, triggers: [{ event: id }] }, async () => id);
    const worker = createWorker({ functions: [fn], ...where, logger: false });
    const working = worker.start();
    await worker.ready;
    expect((await client.emitSync(id)).output).toBe(id);
    await worker.stop();
    await working;

    const hasty = createWorker({ functions: [fn], ...where, logger: false });
    const starting = hasty.start();
    await new Promise((resolve) => setImmediate(resolve));
    await hasty.stop();
    await starting;
    await expect(hasty.ready).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  }
  await eventually(
    () => client.listWorkers(),
    (workers) => workers.length === 0,
  );
});

test('every call but /health asks for the key', async () => {
  const { url } = await open({ apiKeys: ['secret'] });
  const call = (path: string, headers = {}) =>
    fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{}' });
  expect((await call('/ironflow.v1.IronflowService/Health')).status).toBe(401);
  expect((await call('/ironflow.v1.IronflowService/Health', { authorization: 'Bearer secret' })).status).toBe(200);
  expect((await fetch(`${url}/health`)).status).toBe(200);
  await expect(createClient({ serverUrl: url }).health()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});
