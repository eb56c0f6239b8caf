// The published SDK's push contract against this engine: a plain HTTP server stands for serve() (contract: 7, 8, 2.3).

import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CreateEngineOptions } from '../../main.ts';
import { eventually } from '../../test-support/eventually.ts';
import {
  ContractEngine,
  failedStep,
  invokeAsyncYield,
  invokeYield,
  PublishedWorker,
  type PushCall,
  PushEndpoint,
  pullFunction,
  pushFunction,
  type Step,
  sleepYield,
  step,
  waitYield,
} from './published-sdk.ts';

const soon = (ms = 30) => new Date(Date.now() + ms);

/** An engine, and an endpoint that serves its function `f`, started by `go`. */
async function openWithEndpoint(
  registration: Readonly<Record<string, unknown>> = {},
  options: CreateEngineOptions = {},
) {
  const engine = await ContractEngine.open(options);
  const endpoint = await PushEndpoint.open();
  await engine.registerFunction(pushFunction('f', 'go', endpoint.url, registration));
  return { engine, endpoint };
}

const completed = (result?: unknown, steps: readonly Step[] = []) => ({
  status: 'completed',
  steps,
  ...(result !== undefined && { result }),
});
const yielded = (what: Readonly<Record<string, unknown>>, steps: readonly Step[] = []) => ({
  status: 'yielded',
  steps,
  yield: what,
});
const failed = (message: string, retryable: boolean, steps: readonly Step[] = []) => ({
  status: 'failed',
  steps,
  error: { message, code: retryable ? 'ERROR' : 'STEP_FAILED', retryable, stack: `Error: ${message}\n    at x` },
});

/** The memo by id, as serve() looks things up. */
const memoOf = ({ invocation }: PushCall) =>
  Object.fromEntries((invocation.steps ?? []).map(({ id, name: _name, ...rest }) => [id, rest]));

describe('an invocation', () => {
  test('has the fields of the contract, and none that must be absent', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const { eventId, runIds } = await engine.emit('go', { order: 'o-1', nothing: null });
    const call = await endpoint.next();
    expect(call.method).toBe('POST');
    expect(call.headers['content-type']).toMatch(/^application\/json/);
    expect(call.headers['x-ironflow-signature']).toBeUndefined();
    const { checkpoint, job, ...contract } = JSON.parse(call.text);
    // Our own additions: where steps may be recorded as they end, and the job as our SDK takes it.
    expect(checkpoint).toEqual({
      url: expect.stringMatching(/^http:\/\/localhost:\d+$/),
      worker_id: expect.stringMatching(/^push_/),
    });
    expect(job).toMatchObject({ run_id: runIds[0] });
    expect(contract).toEqual({
      run_id: runIds[0],
      function_id: 'f',
      attempt: 1,
      event: {
        id: eventId,
        name: 'go',
        version: 1,
        data: { order: 'o-1', nothing: null },
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      },
      steps: [],
    });
    call.reply(200, completed({ ok: true }));
    expect(await engine.until(call.invocation.run_id, 'completed')).toMatchObject({ output: { ok: true }, attempt: 1 });
  });

  test('carries version and metadata of the event when it has them', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    await engine.emit('go', null, { version: 4, metadata: { tenant: 't' } });
    const { invocation } = await endpoint.next();
    expect(invocation.event).toMatchObject({ version: 4, metadata: { tenant: 't' }, data: null });
  });

  test('is compact JSON in JavaScript’s own form, so that a parsed body can be verified as well', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const data = {
      z: 1,
      a: '<b>&"\\ é 📦 \u2028',
      n: [1e21, 1e-7, -0.5, 2 ** 64],
      10: 'ten',
      deep: { x: {} },
    };
    const runId = await engine.start('go', data);
    const first = await endpoint.next();
    expect(first.text).toBe(JSON.stringify(JSON.parse(first.text)));
    expect(first.invocation.event.data).toEqual(data);
    first.reply(200, yielded(sleepYield(`${runId}:nap:0`, soon(1)), [step(runId, 'a', data)]));
    const second = await endpoint.next();
    expect(second.text).toBe(JSON.stringify(JSON.parse(second.text)));
    expect(memoOf(second)[`${runId}:a:0`]).toEqual({ status: 'completed', output: data });
  });

  test('is signed over its exact body with the configured key', async () => {
    const { engine, endpoint } = await openWithEndpoint({}, { push: { signingKey: 'whsec_über' } });
    await engine.start('go', { price: '10 €' });
    const { text, headers } = await endpoint.next();
    const expected = createHmac('sha256', 'whsec_über').update(text, 'utf8').digest('hex');
    expect(headers['x-ironflow-signature']).toBe(`sha256=${expected}`);
  });

  test('goes out for functions registered with an endpoint and no mode, and for each of several of one endpoint', async () => {
    const engine = await ContractEngine.open();
    const endpoint = await PushEndpoint.open();
    for (const id of ['f', 'g']) {
      await engine.registerFunction({ id, triggers: [{ event: 'go' }], endpointUrl: endpoint.url });
    }
    const { runIds } = await engine.emit('go');
    const calls = [await endpoint.next(), await endpoint.next()];
    expect(calls.map(({ invocation }) => invocation.function_id).sort()).toEqual(['f', 'g']);
    for (const call of calls) call.reply(200, completed(call.invocation.function_id));
    for (const id of runIds) expect(await engine.until(id, 'completed')).toMatchObject({ status: 'completed' });
  });
});

describe('the answer of an endpoint', () => {
  test.each([
    ['an object', { n: 1 }],
    ['text', 'done'],
    ['null', null],
    ['nothing', undefined],
  ])('with %s as result completes the run', async (_what, result) => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, completed(result, [step(runId, 'a', 1)]));
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: result ?? null });
    expect((await engine.steps(runId)).map(({ name, output }) => [name, output])).toEqual([['a', 1]]);
  });

  test('that yields a sleep is followed by a call with its steps and the sleep’s', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    const until = soon(60);
    (await endpoint.next()).reply(
      200,
      yielded(sleepYield(`${runId}:nap:0`, until), [step(runId, 'a', [1]), step(runId, 'b')]),
    );
    const call = await endpoint.next();
    expect(Date.now()).toBeGreaterThanOrEqual(until.getTime());
    expect(call.invocation.attempt).toBe(1);
    expect(memoOf(call)).toEqual({
      [`${runId}:a:0`]: { status: 'completed', output: [1] },
      [`${runId}:b:0`]: { status: 'completed', output: null },
      [`${runId}:nap:0`]: { status: 'completed', output: null },
    });
    call.reply(200, completed('done', [step(runId, 'c', 3)]));
    await engine.until(runId, 'completed');
    expect((await engine.steps(runId)).map(({ name }) => name)).toEqual(['a', 'b', 'nap', 'c']);
  });

  test('that yields a wait is followed by a call with the event, which is truthy', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go', { id: 7 });
    (await endpoint.next()).reply(200, yielded(waitYield(`${runId}:paid:0`, 'paid', 'data.id')));
    await engine.until(runId, 'waiting');
    await engine.emit('paid', { id: 8 });
    const { eventId } = await engine.emit('paid', { id: 7 });
    expect(memoOf(await endpoint.next())).toEqual({
      [`${runId}:paid:0`]: {
        status: 'completed',
        output: { id: eventId, name: 'paid', version: 1, data: { id: 7 }, timestamp: expect.any(String) },
      },
    });
  });

  test('that yields a wait which times out fails the run: serve() would only yield it again', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(waitYield(`${runId}:w:0`, 'never', undefined, '20ms')));
    expect((await engine.until(runId, 'failed')).error?.code).toBe('WAIT_TIMEOUT');
    expect(endpoint.count).toBe(1);
  });

  test('that fails retryably is followed by the next attempt, with the memo of the steps that completed', async () => {
    const { engine, endpoint } = await openWithEndpoint({ retry: { maxAttempts: 2, initialDelayMs: 1 } });
    const runId = await engine.start('go');
    (await endpoint.next()).reply(
      200,
      failed('not now', true, [step(runId, 'a', 1), failedStep(runId, 'b', 'x', true)]),
    );
    const call = await endpoint.next();
    expect(call.invocation.attempt).toBe(2);
    expect(memoOf(call)).toEqual({ [`${runId}:a:0`]: { status: 'completed', output: 1 } });
    call.reply(200, failed('still not', true));
    expect(await engine.until(runId, 'failed')).toMatchObject({
      attempt: 2,
      error: { message: 'still not', code: 'ERROR' },
    });
  });

  test('that fails for good ends the run', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, failed('declined', false, [failedStep(runId, 'charge', 'declined')]));
    expect(await engine.until(runId, 'failed')).toMatchObject({
      attempt: 1,
      error: { message: 'declined', code: 'STEP_FAILED' },
    });
    expect(endpoint.count).toBe(1);
  });

  test('may carry more steps than a checkpoint', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    const steps = Array.from({ length: 1_200 }, (_, i) => step(runId, 's', i, i));
    (await endpoint.next()).reply(200, completed('done', steps));
    await engine.until(runId, 'completed');
    expect(await engine.steps(runId)).toHaveLength(1_200);
  });

  test.each([
    ['is no JSON', 200, '<html>Welcome</html>'],
    ['has no status', 200, { steps: [] }],
    ['has an unknown status', 200, { status: 'paused', steps: [] }],
    ['has steps of the wrong type', 200, { status: 'completed', steps: { a: 1 } }],
    ['yields nothing', 200, { status: 'yielded', steps: [] }],
    ['yields a sleep without an end', 200, { status: 'yielded', steps: [], yield: { step_id: 's', type: 'sleep' } }],
    ['is a 400', 400, { error: { message: 'missing run_id', code: 'VALIDATION_ERROR' } }],
    ['is a 401', 401, { error: { message: 'bad signature', code: 'SIGNATURE_INVALID' } }],
    ['is a 404', 404, { error: { message: 'Function not found: f', code: 'FUNCTION_NOT_FOUND' } }],
    ['is a 404 of another program', 404, 'not here'],
  ])('that %s fails the run at once, saying so', async (_what, status, body) => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    (await endpoint.next()).reply(status, body);
    const run = await engine.until(runId, 'failed');
    expect(run).toMatchObject({ attempt: 1, error: { code: expect.stringMatching(/./) } });
    expect(run.error?.message).toContain(endpoint.url);
    expect(endpoint.count).toBe(1);
  });

  test('that has an output which is too large fails the run, saying of which step', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    const large = 'x'.repeat(4 * 1024 * 1024);
    (await endpoint.next()).reply(200, completed('done', [step(runId, 'a', 1), step(runId, 'b', large)]));
    const { error } = await engine.until(runId, 'failed');
    expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', message: expect.stringContaining('"b"') });
    expect(await engine.steps(runId)).toEqual([]);
  });

  test('that is a 500 is retried by the function’s policy', async () => {
    const { engine, endpoint } = await openWithEndpoint({ retry: { maxAttempts: 3, initialDelayMs: 1 } });
    const runId = await engine.start('go');
    const internal = { error: { message: 'oops', code: 'INTERNAL_ERROR' } };
    (await endpoint.next()).reply(500, internal);
    const second = await endpoint.next();
    expect(second.invocation).toMatchObject({ run_id: runId, attempt: 2 });
    second.reply(500, 'Internal Server Error');
    const third = await endpoint.next();
    expect(third.invocation.attempt).toBe(3);
    third.reply(500, internal);
    const run = await engine.until(runId, 'failed');
    expect(run).toMatchObject({ attempt: 3 });
    expect(run.error?.message).toContain('oops');
  });

  test('that does not come within the function’s timeout ends the attempt', async () => {
    const { engine, endpoint } = await openWithEndpoint({
      timeoutMs: 50,
      retry: { maxAttempts: 2, initialDelayMs: 1 },
    });
    const runId = await engine.start('go');
    const hung = await endpoint.next();
    const second = await endpoint.next();
    expect(second.invocation).toMatchObject({ run_id: runId, attempt: 2 });
    hung.reply(200, completed('late'));
    second.reply(200, completed('in time'));
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: 'in time' });
  });
});

describe('a child run', () => {
  test('brings its output into the steps of the next call', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    await engine.registerFunction(pushFunction('child', undefined, endpoint.url));
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(invokeYield(`${runId}:child:0`, 'child', { n: 2 })));
    const child = await endpoint.next();
    expect(child.invocation).toMatchObject({ function_id: 'child', attempt: 1, event: { data: { n: 2 } }, steps: [] });
    child.reply(200, completed({ doubled: 4 }));
    const call = await endpoint.next();
    expect(call.invocation.run_id).toBe(runId);
    expect(memoOf(call)).toEqual({ [`${runId}:child:0`]: { status: 'completed', output: { doubled: 4 } } });
  });

  test('that failed is told as a failed step, its error a JSON text with the cause in words', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    await engine.registerFunction(pushFunction('child', undefined, endpoint.url));
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(invokeYield(`${runId}:child:0`, 'child', {})));
    const child = await endpoint.next();
    child.reply(200, failed('out of stock', false));
    const call = await endpoint.next();
    const told = memoOf(call)[`${runId}:child:0`];
    expect(told).toEqual({ status: 'failed', error: expect.any(String) });
    expect(JSON.parse(told?.error ?? '')).toMatchObject({
      message: expect.stringContaining('out of stock'),
      function_id: 'child',
      child_run_id: child.invocation.run_id,
      cause: expect.stringContaining('out of stock'),
      retryable: false,
    });
    // The handler caught InvokeError and went on.
    call.reply(200, completed('without'));
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: 'without' });
  });

  test('that takes too long is told as timed out', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    await engine.registerFunction(pullFunction('child', undefined));
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(invokeYield(`${runId}:child:0`, 'child', {}, 20)));
    expect(memoOf(await endpoint.next())[`${runId}:child:0`]).toMatchObject({ status: 'timed_out' });
  });

  test('of a function that is not registered is told as a failed step', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(invokeYield(`${runId}:nobody:0`, 'nobody', {})));
    const told = memoOf(await endpoint.next())[`${runId}:nobody:0`];
    expect(told?.status).toBe('failed');
    expect(JSON.parse(told?.error ?? '')).toMatchObject({ message: expect.stringContaining('nobody') });
  });

  test('that is not waited for is told by its run id at once', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const worker = await PublishedWorker.start(engine, [pullFunction('child', undefined)]);
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(invokeAsyncYield(`${runId}:child:0`, 'child', 1)));
    const call = await endpoint.next();
    const job = await worker.take();
    expect(memoOf(call)).toEqual({ [`${runId}:child:0`]: { status: 'completed', output: { run_id: job.run_id } } });
    expect(job.event.data).toBe(1);
  });
});

describe('an endpoint that is not there', () => {
  const quick = { push: { restMs: 5, restMsMax: 20 } };

  test('costs a run no attempt, and the run comes when the endpoint does', async () => {
    const { engine, endpoint } = await openWithEndpoint({ retry: { maxAttempts: 1 } }, quick);
    await endpoint.down();
    const runId = await engine.start('go', { n: 1 });
    await eventually(
      () => engine.run(runId),
      ({ startedAt, status }) => startedAt !== undefined && status === 'pending',
    );
    await endpoint.up();
    const call = await endpoint.next();
    expect(call.invocation).toMatchObject({ run_id: runId, attempt: 1, event: { data: { n: 1 } } });
    call.reply(200, completed('done'));
    expect(await engine.until(runId, 'completed')).toMatchObject({ attempt: 1, output: 'done' });
  });

  test.each([429, 502, 503, 504])('is one that answers %i', async (status) => {
    const { engine, endpoint } = await openWithEndpoint({ retry: { maxAttempts: 1 } }, quick);
    const runId = await engine.start('go');
    (await endpoint.next()).reply(status, 'try again later');
    const again = await endpoint.next();
    expect(again.invocation).toMatchObject({ run_id: runId, attempt: 1 });
    again.reply(200, completed('done'));
    await engine.until(runId, 'completed');
  });

  test('is one that breaks the connection in the middle of a call, steps of earlier calls kept', async () => {
    const { engine, endpoint } = await openWithEndpoint({ retry: { maxAttempts: 1 } }, quick);
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(sleepYield(`${runId}:nap:0`, soon(1)), [step(runId, 'a', 1)]));
    (await endpoint.next()).break();
    const again = await endpoint.next();
    expect(Object.keys(memoOf(again)).sort()).toEqual([`${runId}:a:0`, `${runId}:nap:0`]);
    again.reply(200, completed('done'));
    expect(await engine.until(runId, 'completed')).toMatchObject({ attempt: 1 });
  });
});

describe('one run', () => {
  test('has one invocation at a time, whatever happens meanwhile', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    for (let i = 0; i < 10; i++) {
      const call = await endpoint.next();
      // The event for the wait comes while the invocation that yields it is open.
      await engine.emit('news', { i });
      call.reply(200, yielded(waitYield(`${runId}:w:${i}`, 'news', `data.i == ${i}`)));
    }
    (await endpoint.next()).reply(200, completed('done'));
    await engine.until(runId, 'completed');
    expect({ count: endpoint.count, overlaps: endpoint.overlaps }).toEqual({ count: 11, overlaps: [] });
  });

  test('keeps its invocation when another function is registered at the same endpoint meanwhile', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    const open = await endpoint.next();
    await engine.registerFunction(pushFunction('g', 'go-g', endpoint.url));
    await engine.registerFunction(pushFunction('f', 'go', endpoint.url, { timeoutMs: 120_000 }));
    const other = await engine.start('go-g');
    const call = await endpoint.next();
    expect(call.invocation.run_id).toBe(other);
    call.reply(200, completed('g'));
    open.reply(200, completed('f', [step(runId, 'a', 1)]));
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: 'f', attempt: 1 });
    expect(await engine.until(other, 'completed')).toMatchObject({ output: 'g' });
    expect({ count: endpoint.count, overlaps: endpoint.overlaps }).toEqual({ count: 2, overlaps: [] });
  });

  test('keeps its invocation when its function moves to another endpoint meanwhile; the next one goes there', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    const open = await endpoint.next();
    const moved = await PushEndpoint.open();
    await engine.registerFunction(pushFunction('f', 'go', moved.url));
    const later = await engine.start('go');
    const call = await moved.next();
    expect(call.invocation.run_id).toBe(later);
    open.reply(200, yielded(sleepYield(`${runId}:nap:0`, soon(1)), [step(runId, 'a', 1)]));
    const resumed = await moved.next();
    expect(Object.keys(memoOf(resumed)).sort()).toEqual([`${runId}:a:0`, `${runId}:nap:0`]);
    for (const one of [call, resumed]) one.reply(200, completed('moved'));
    for (const id of [runId, later]) expect(await engine.until(id, 'completed')).toMatchObject({ attempt: 1 });
    expect([endpoint.count, moved.count]).toEqual([1, 2]);
    const { body } = await engine.call('GET', '/api/v1/functions');
    expect(body).toMatchObject({ functions: [{ id: 'f', endpointUrl: moved.url }] });
  });

  test('that is cancelled while it is invoked stays cancelled, whatever the endpoint answers', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    const open = await endpoint.next();
    await engine.cancel(runId);
    open.reply(200, completed('late', [step(runId, 'a')]));
    const next = await engine.start('go');
    (await endpoint.next()).reply(200, completed('next'));
    await engine.until(next, 'completed');
    expect(await engine.run(runId)).toMatchObject({ status: 'cancelled' });
    expect(await engine.steps(runId)).toEqual([]);
  });

  test('of many that run side by side gets its own answer', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runIds = await Promise.all(Array.from({ length: 30 }, (_, n) => engine.start('go', { n })));
    for (const _ of runIds) {
      const call = await endpoint.next();
      call.reply(200, completed(call.invocation.event.data));
    }
    const runs = await Promise.all(runIds.map((id) => engine.until(id, 'completed')));
    expect(runs.map(({ output }) => output)).toEqual(runIds.map((_, n) => ({ n })));
    expect(endpoint.overlaps).toEqual([]);
  });
});

describe('a restart of the engine', () => {
  test('invokes again what was open, with the steps of earlier calls and at no cost of an attempt', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'ironflow-contract-'));
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
    const { engine, endpoint } = await openWithEndpoint({ retry: { maxAttempts: 1 } }, { store: 'sqlite', dataDir });
    const runId = await engine.start('go');
    (await endpoint.next()).reply(200, yielded(sleepYield(`${runId}:nap:0`, soon(1)), [step(runId, 'a', 1)]));
    const open = await endpoint.next();
    await engine.close();
    open.reply(200, completed('to nobody'));
    const after = await ContractEngine.open({ store: 'sqlite', dataDir });
    const again = await endpoint.next();
    expect(again.invocation).toMatchObject({ run_id: runId, attempt: 1 });
    expect(Object.keys(memoOf(again)).sort()).toEqual([`${runId}:a:0`, `${runId}:nap:0`]);
    again.reply(200, completed('done'));
    expect(await after.until(runId, 'completed')).toMatchObject({ output: 'done', attempt: 1 });
  });
});

describe('several branches', () => {
  test('yield one after the other over several calls', async () => {
    const { engine, endpoint } = await openWithEndpoint();
    const runId = await engine.start('go');
    for (let branch = 0; branch < 5; branch++) {
      const call = await endpoint.next();
      expect(call.invocation.steps).toHaveLength(2 * branch);
      const work = { ...step(runId, 'work', branch), id: `${runId}:fan:${branch}:work:0` };
      call.reply(200, yielded(sleepYield(`${runId}:fan:${branch}:nap:0`, soon(5)), [work]));
    }
    const last = await endpoint.next();
    expect(last.invocation).toMatchObject({ attempt: 1 });
    last.reply(200, completed([0, 1, 2, 3, 4]));
    await engine.until(runId, 'completed');
  });
});
