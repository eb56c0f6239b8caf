// Registering with the REST interface of the published SDK, over real sockets (contract: 4, 5).

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ContractEngine, memoOf, PublishedWorker, pullFunction, sleepYield, step } from './published-sdk.ts';
import { openWithWorker, soon } from './rest-worker.ts';

describe('registering a function', () => {
  test('says created for a new id only', async () => {
    const engine = await ContractEngine.open();
    expect(await engine.registerFunction(pullFunction('f', 'go'))).toMatchObject({
      created: true,
      function: { id: 'f', version: 1 },
    });
    expect(await engine.registerFunction(pullFunction('f', 'go'))).toMatchObject({ created: false });
    expect(await engine.registerFunction(pullFunction('f', 'other'))).toMatchObject({ created: false });
  });

  test('makes no new version for the same definition, however it is spelled', async () => {
    const engine = await ContractEngine.open();
    const versions: number[] = [];
    for (const definition of [
      pullFunction('f', 'go', { retry: { maxAttempts: 2, initialDelayMs: 5 }, timeoutMs: 1_000, description: 'x' }),
      pullFunction('f', 'go', { description: 'x', timeoutMs: 1_000, retry: { initialDelayMs: 5, maxAttempts: 2 } }),
      {
        id: 'f',
        name: 'f',
        description: 'x',
        triggers: [{ event: 'go', cron: '', expression: '' }],
        retry: { max_attempts: 2, initial_delay_ms: 5 },
        timeout_ms: 1_000,
        preferred_mode: 'pull',
        endpoint_url: '',
        actor_key: null,
        secrets: [],
        metadata: { __ironflow_code_hash: '0123456789abcdef' },
        a_field_of_the_future: { x: 1 },
      },
    ]) {
      versions.push((await engine.registerFunction(definition)).function.version);
    }
    expect(versions).toEqual([1, 1, 1]);
  });

  test.each([
    ['the code hash', { metadata: { __ironflow_code_hash: 'fedcba9876543210' } }],
    ['a trigger', { triggers: [{ event: 'go' }, { event: 'again' }] }],
    ['the retry policy', { retry: { maxAttempts: 7 } }],
    ['the timeout', { timeoutMs: 5_000 }],
  ])('makes a new version when %s changes', async (_what, change) => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go'));
    const { created, function: fn } = await engine.registerFunction(pullFunction('f', 'go', change));
    expect({ created, version: fn.version }).toEqual({ created: false, version: 2 });
  });

  test.each([
    ['EXECUTION_MODE_PULL', undefined, 'pull'],
    ['pull', undefined, 'pull'],
    ['PULL', 'http://127.0.0.1:1/', 'pull'],
    [2, undefined, 'pull'],
    ['EXECUTION_MODE_PUSH', 'http://127.0.0.1:1/', 'push'],
    ['push', 'http://127.0.0.1:1/', 'push'],
    [1, 'http://127.0.0.1:1/', 'push'],
    ['EXECUTION_MODE_UNSPECIFIED', 'http://127.0.0.1:1/', 'push'],
    [0, undefined, 'pull'],
    [undefined, 'http://127.0.0.1:1/', 'push'],
    ['', undefined, 'pull'],
    [null, undefined, 'pull'],
  ])('reads mode %j with endpoint %j as %s', async (preferredMode, endpointUrl, mode) => {
    const engine = await ContractEngine.open();
    const { function: fn } = await engine.registerFunction({ id: 'f', preferredMode, endpointUrl });
    expect(fn.preferredMode).toBe(mode);
  });

  test('fills in the defaults of the contract', async () => {
    const engine = await ContractEngine.open();
    await engine.registerFunction({ id: 'f' });
    const { body } = await engine.call('GET', '/api/v1/functions');
    expect(body).toMatchObject({
      functions: [
        {
          id: 'f',
          name: 'f',
          triggers: [],
          retry: { maxAttempts: 3, initialDelayMs: 1_000, backoffFactor: 2, maxDelayMs: 300_000 },
          timeoutMs: 600_000,
        },
      ],
    });
  });

  test('accepts all that the published worker may send', async () => {
    const engine = await ContractEngine.open();
    const { created } = await engine.registerFunction({
      ...pullFunction('orders/process.v2', 'order.*'),
      description: 'everything',
      triggers: [
        { event: 'order.*', expression: 'event.data.total > 100' },
        { event: 'tick', cron: '*/5 * * * *' },
      ],
      retry: { maxAttempts: 5, initialDelayMs: 100, backoffFactor: 1.5, maxDelayMs: 1_000 },
      timeoutMs: 60_000,
      concurrency: { limit: 3, key: 'event.data.customer' },
      actorKey: 'data.customer',
      recording: true,
      recordingRetention: '30d',
      secrets: ['STRIPE_KEY'],
      debounce: { period_ms: 1_000, key: '' },
      cancelOn: [{ event: 'order.cancelled', match: 'data.orderId' }],
    });
    expect(created).toBe(true);
  });
});

describe('registering a worker', () => {
  test('is an upsert, and the worker shows in the list', async () => {
    const { engine, worker } = await openWithWorker();
    expect((await worker.register()).status).toBe(200);
    const { body } = await engine.call('GET', '/api/v1/workers');
    expect(body).toEqual({
      workers: [
        expect.objectContaining({
          id: worker.id,
          hostname: 'test-host',
          function_ids: ['f'],
          max_concurrent: 10,
          labels: { zone: 'a' },
          active_jobs: 0,
          registered_at: expect.any(String),
          last_heartbeat: expect.any(String),
          transport: expect.any(String),
        }),
      ],
    });
  });

  test('again, as after a 404, leaves the jobs it holds with it', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    await worker.register();
    expect((await worker.completed(job, 'done')).status).toBe(200);
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', output: 'done', attempt: 1 });
  });
});

describe('a worker that registers again between two polls', () => {
  test('gets what became ready meanwhile', async () => {
    const { engine, worker } = await openWithWorker({}, { reconnectMs: 60_000 });
    expect(await worker.poll(1)).toEqual([]);
    const runId = await engine.start('go');
    await worker.register();
    expect(await worker.take()).toMatchObject({ run_id: runId, attempt: 1 });
  });
});

describe('environments', () => {
  test('keep functions, workers, events and runs apart', async () => {
    const engine = await ContractEngine.open();
    const staging = { 'x-ironflow-environment': 'staging' };
    const here = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    const there = await PublishedWorker.start(engine, [pullFunction('f', 'go')], { environment: 'staging' });
    const { runIds } = await engine.emit('go', { where: 'staging' }, {}, staging);
    expect(await here.poll(1)).toEqual([]);
    const job = await there.take();
    expect(job.run_id).toBe(runIds[0]);
    expect((await engine.rpc('GetRun', { id: job.run_id })).status).toBe(404);
    expect((await engine.rpc('CancelRun', { id: job.run_id })).status).toBe(404);
    expect(await engine.runs()).toMatchObject({ runs: [], totalCount: 0 });
    expect(await engine.run(job.run_id, staging)).toMatchObject({ status: 'running' });
    const { body } = await engine.call('GET', '/api/v1/workers');
    expect(body).toMatchObject({ workers: [{ id: here.id }] });
  });

  test('have idempotency keys of their own', async () => {
    const engine = await ContractEngine.open();
    const first = await engine.emit('go', {}, { idempotencyKey: 'k' });
    const other = await engine.emit('go', {}, { idempotencyKey: 'k' }, { 'x-ironflow-environment': 'staging' });
    expect(other.eventId).not.toBe(first.eventId);
  });
});

describe('a restart of the engine', () => {
  test('goes unnoticed: the worker polls on, its job and what was checkpointed are still there', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'ironflow-contract-'));
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
    const before = await ContractEngine.open({ store: 'sqlite', dataDir });
    const worker = await PublishedWorker.start(before, [pullFunction('f', 'go')], { id: 'worker-m1abc-x1y2z3' });
    const runId = await before.start('go');
    const asleep = await before.start('go');
    const job = await worker.take();
    const nap = await worker.take();
    await worker.progress(job, [step(runId, 'a', 1)]);
    await worker.yielded(nap, sleepYield(`${asleep}:nap:0`, soon(10)));
    await before.close();

    const after = await ContractEngine.open({ store: 'sqlite', dataDir });
    const same = new PublishedWorker(after, ['f'], { id: worker.id });
    expect((await same.progress(job, [step(runId, 'b', 2)], 1)).status).toBe(200);
    expect((await same.completed(job, 'done')).status).toBe(200);
    expect(await after.run(runId)).toMatchObject({ status: 'completed', output: 'done', attempt: 1 });
    const resumed = await same.take();
    expect(memoOf(resumed)).toEqual({ [`${asleep}:nap:0`]: null });
    expect((await after.steps(runId)).map(({ name }) => name)).toEqual(['a', 'b']);
  });
});
