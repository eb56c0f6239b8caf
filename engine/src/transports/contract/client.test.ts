// Clients of the published SDK against this engine: Connect's unary JSON and REST (contract: 1, 2, 3, 12).

import { describe, expect, test } from 'vitest';
import { eventually, inTime } from '../../test-support/eventually.ts';
import { ContractEngine, PublishedWorker, pullFunction, sleepYield } from './published-sdk.ts';

const later = () => new Date(Date.now() + 60_000);

async function openWithWorker(ids: readonly string[] = ['f']) {
  const engine = await ContractEngine.open();
  const worker = await PublishedWorker.start(
    engine,
    ids.map((id) => pullFunction(id, `go-${id}`)),
  );
  return { engine, worker };
}

describe.each([
  ['IronflowService/Trigger', 'idempotencyKey'],
  ['IronflowService/Emit', 'idempotencyKey'],
  ['PubSubService/Emit', 'idempotency_key'],
])('%s', (method, keyField) => {
  const path = `/ironflow.v1.${method}`;

  test('answers with the event’s id and a run of every function that it starts', async () => {
    const { engine } = await openWithWorker();
    await engine.registerFunction(pullFunction('pattern', 'go-*'));
    await engine.registerFunction(pullFunction('rest', 'go-f.>'));
    const { status, headers, body } = await engine.call('POST', path, { event: 'go-f', data: { n: 1 } });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(body).toEqual({
      eventId: expect.stringMatching(/^evt_/),
      runIds: [expect.stringMatching(/^run_[\w-]{1,124}$/)],
    });
    const { body: both } = await engine.call('POST', path, { event: 'go-f.x', data: {} });
    expect((both as { runIds: string[] }).runIds).toHaveLength(1);
  });

  test('answers with no runs for an event that nobody listens to, and functions registered later do not get it', async () => {
    const engine = await ContractEngine.open();
    const { status, body } = await engine.call('POST', path, { event: 'nobody.listens', data: {} });
    expect({ status, body }).toEqual({ status: 200, body: { eventId: expect.any(String), runIds: [] } });
    await engine.registerFunction(pullFunction('f', 'nobody.listens'));
    expect(await engine.runs()).toMatchObject({ runs: [], totalCount: 0 });
  });

  test('answers the same for the same idempotency key, and starts nothing again', async () => {
    const { engine } = await openWithWorker();
    const ask = (event: string, data: unknown, key: string) =>
      engine.call('POST', path, { event, data, [keyField]: key }).then(({ body }) => body);
    const first = await ask('go-f', { n: 1 }, 'order-1');
    expect(await ask('go-f', { n: 1 }, 'order-1')).toEqual(first);
    expect(await ask('go-f', { n: 'another payload' }, 'order-1')).toEqual(first);
    const sideBySide = await Promise.all(Array.from({ length: 10 }, () => ask('go-f', {}, 'order-2')));
    expect(new Set(sideBySide.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await engine.runs()).toMatchObject({ totalCount: 2 });
  });

  test('takes an empty key as none, and starts the function whose id is the event’s name', async () => {
    const { engine } = await openWithWorker();
    for (let i = 0; i < 2; i++) {
      const { status } = await engine.call('POST', path, { event: 'f', data: null, [keyField]: '', metadata: null });
      expect(status).toBe(200);
    }
    expect(await engine.runs({ functionId: 'f' })).toMatchObject({ totalCount: 2 });
  });
});

describe('TriggerSync', () => {
  const sync = (engine: ContractEngine, body: Readonly<Record<string, unknown>>) =>
    engine.rpc('TriggerSync', { data: {}, timeout_ms: 5_000, ...body });

  test('answers with the result of the run that it started', async () => {
    const { engine, worker } = await openWithWorker();
    const asked = sync(engine, { event: 'go-f', data: { n: 1 } });
    const job = await worker.take();
    await worker.completed(job, { doubled: 2 });
    const { status, body } = await asked;
    expect(status).toBe(200);
    expect(body).toEqual({
      eventId: job.event.id,
      results: [
        {
          runId: job.run_id,
          functionId: 'f',
          status: 'completed',
          output: { doubled: 2 },
          durationMs: expect.any(Number),
        },
      ],
    });
  });

  test('answers with the error of a run that failed, and says of one that was cancelled that it was', async () => {
    const { engine, worker } = await openWithWorker();
    const failing = sync(engine, { event: 'go-f' });
    await worker.failed(await worker.take(), { message: 'declined', code: 'STEP_FAILED', retryable: false });
    expect((await failing).body).toMatchObject({
      results: [{ status: 'failed', error: { message: 'declined', code: 'STEP_FAILED' } }],
    });
    const cancelled = sync(engine, { event: 'go-f' });
    await engine.cancel((await worker.take()).run_id);
    expect((await cancelled).body).toMatchObject({ results: [{ status: 'cancelled' }] });
  });

  test.each(['timeout_ms', 'timeoutMs'])('answers when %s is over with the run as it is', async (field) => {
    const { engine, worker } = await openWithWorker();
    const asked = engine.rpc('TriggerSync', { event: 'go-f', data: {}, [field]: 400 });
    const job = await worker.take();
    const { body } = await inTime(asked, 'the answer');
    expect(body).toMatchObject({ results: [{ runId: job.run_id, status: 'running' }] });
    expect(JSON.stringify(body)).not.toMatch(/"(?:output|error)":/);
  });

  test('answers with no results when nobody listens', async () => {
    const { engine } = await openWithWorker();
    expect((await sync(engine, { event: 'nobody.listens' })).body).toEqual({
      eventId: expect.any(String),
      results: [],
    });
  });
});

describe('GetRun', () => {
  test('answers with the run, leaving out what it does not have', async () => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go', { retry: { maxAttempts: 5 } }));
    const { eventId, runIds } = await engine.emit('go', { n: 1 });
    const [runId] = runIds;
    const { body } = await engine.rpc('GetRun', { id: runId });
    const asked = { id: runId, functionId: 'f', eventId, attempt: 1, maxAttempts: 5, input: { n: 1 } };
    expect(body).toMatchObject({
      ...asked,
      status: 'pending',
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    });
    for (const absent of ['output', 'error', 'startedAt', 'endedAt']) expect(body).not.toHaveProperty(absent);

    const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go', { retry: { maxAttempts: 5 } })]);
    const job = await worker.take();
    const running = await engine.run(job.run_id);
    expect(running).toMatchObject({ ...asked, status: 'running', startedAt: expect.any(String) });
    await worker.completed(job, ['done']);
    const done = await engine.run(job.run_id);
    expect(done).toMatchObject({ ...asked, status: 'completed', output: ['done'], startedAt: running.startedAt });
    expect(Date.parse(done.endedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(done.startedAt ?? ''));
    expect((await engine.rpc('GetRun', { id: runId })).body).not.toHaveProperty('error');
  });

  test('of a run that is not there is a not_found', async () => {
    const engine = await ContractEngine.open();
    const { status, body } = await engine.rpc('GetRun', { id: 'run_unknown' });
    expect({ status, body }).toMatchObject({
      status: 404,
      body: { code: 'not_found', message: expect.stringContaining('run_unknown') },
    });
  });
});

describe('ListRuns', () => {
  /** Eight runs: of f two are completed, one failed and one waiting; the four of g, which no worker has, are pending. */
  async function openWithRuns() {
    const { engine, worker } = await openWithWorker(['f']);
    await engine.registerFunction(pullFunction('g', 'go-g'));
    const ids: string[] = [];
    const start = async (event: string) => ids.push(await engine.start(event));
    for (let i = 0; i < 2; i++) {
      await start('go-f');
      await worker.completed(await worker.take());
      await start('go-g');
    }
    await start('go-f');
    await worker.failed(await worker.take(), { message: 'no', code: 'ERROR', retryable: false });
    await start('go-f');
    const job = await worker.take();
    await worker.yielded(job, sleepYield(`${job.run_id}:nap:0`, later()));
    for (let i = 0; i < 2; i++) await start('go-g');
    return { engine, newestFirst: ids.toReversed() };
  }

  test('answers with all runs, the newest first', async () => {
    const { engine, newestFirst } = await openWithRuns();
    const { runs, totalCount, nextCursor } = await engine.runs();
    expect(runs.map(({ id }) => id)).toEqual(newestFirst);
    expect({ totalCount, nextCursor }).toEqual({ totalCount: 8, nextCursor: undefined });
  });

  test.each([
    [{}, [3, 3, 2]],
    [{ functionId: 'f' }, [3, 1]],
    [{ function_id: 'g' }, [3, 1]],
    [{ status: 'pending' }, [3, 1]],
    [{ functionId: 'f', status: 'completed' }, [2]],
    [{ functionId: '', status: '' }, [3, 3, 2]],
  ])('goes through the pages of %j by its cursor, each run once', async (filters, sizes) => {
    const { engine } = await openWithRuns();
    const all = (await engine.runs(filters)).runs.map(({ id }) => id);
    const pages: string[][] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page = await engine.runs({ ...filters, limit: 3, cursor });
      pages.push(page.runs.map(({ id }) => id));
      expect(page.totalCount).toBe(all.length);
      cursor = page.nextCursor;
    }
    expect(pages.map((page) => page.length)).toEqual(sizes);
    expect(pages.flat()).toEqual(all);
  });

  test.each([
    ['completed', 2],
    ['COMPLETED', 2],
    ['RUN_STATUS_COMPLETED', 2],
    ['run_status_failed', 1],
    ['FAILED', 1],
    ['waiting', 1],
    ['RUN_STATUS_WAITING', 1],
    ['pending', 4],
    ['cancelled', 0],
    ['running', 0],
    ['paused', 0],
    ['RUN_STATUS_WAITING_FOR_CAPACITY', 0],
    ['', 8],
    ['RUN_STATUS_UNSPECIFIED', 8],
    [3, 2],
    [4, 1],
    [8, 1],
    [0, 8],
    [null, 8],
  ])('takes %j as a status', async (status, count) => {
    const { engine } = await openWithRuns();
    const { runs, totalCount } = await engine.runs({ status });
    expect({ runs: runs.length, totalCount }).toEqual({ runs: count, totalCount: count });
  });

  test('takes no limit, an empty one and zero as the default', async () => {
    const { engine } = await openWithRuns();
    for (const limit of [undefined, null, '', 0]) expect((await engine.runs({ limit })).runs).toHaveLength(8);
  });

  test('is on REST too, with the same answer', async () => {
    const { engine } = await openWithRuns();
    const { body } = await engine.call('GET', '/api/v1/runs?limit=2&functionId=f&status=completed');
    expect(body).toEqual((await engine.rpc('ListRuns', { limit: 2, functionId: 'f', status: 'completed' })).body);
    expect((body as { runs: unknown[] }).runs).toHaveLength(2);
    expect((await engine.call('GET', '/api/v1/runs')).body).toMatchObject({ totalCount: 8 });
  });

  test('is by attributes as well, which a run of a published client has where its function was registered with them', async () => {
    const engine = await ContractEngine.open();
    const attributes = { order_id: 'data.order.id', 'a.b': 'tier' };
    await engine.registerFunction(pullFunction('f', 'go-f', { attributes }));
    await engine.registerFunction(pullFunction('g', 'go-g'));
    const send = async (event: string, data: unknown) => {
      const { body } = await engine.rpc('Trigger', { event, data });
      return (body as { runIds: string[] }).runIds[0];
    };
    const gold = await send('go-f', { order: { id: 42 }, tier: 'gold' });
    const plain = await send('go-f', { order: { id: 42 } });
    const none = await send('go-g', { order: { id: 42 }, tier: 'gold' });
    const idsOf = ({ body }: { readonly body: unknown }) =>
      (body as { runs: { id: string }[] }).runs.map(({ id }) => id);
    expect(idsOf(await engine.rpc('ListRuns', { attributes: { order_id: '42' } }))).toEqual([plain, gold]);
    expect(idsOf(await engine.rpc('ListRuns', { attributes: { order_id: 42, 'a.b': 'gold' }, limit: 1 }))).toEqual([
      gold,
    ]);
    for (const attributesAsked of [{}, null])
      expect(idsOf(await engine.rpc('ListRuns', { attributes: attributesAsked }))).toEqual([none, plain, gold]);
    const path = '/api/v1/runs?attribute.order_id=42&function_id=f&limit=1';
    const first = (await engine.call('GET', path)).body as { nextCursor: string; totalCount: number };
    expect({ ids: idsOf({ body: first }), total: first.totalCount }).toEqual({ ids: [plain], total: 2 });
    expect(idsOf(await engine.call('GET', `${path}&cursor=${first.nextCursor}`))).toEqual([gold]);
    expect(idsOf(await engine.call('GET', '/api/v1/runs?attribute.order_id=42&attribute.a.b=gold'))).toEqual([gold]);
    expect((await engine.rpc('GetRun', { id: gold })).body).toMatchObject({
      attributes: { order_id: '42', 'a.b': 'gold' },
    });
    expect((await engine.rpc('GetRun', { id: none })).body).not.toHaveProperty('attributes');
    expect((await engine.rpc('GetFunction', { id: 'f' })).body).toMatchObject({ attributes });
    const bulk = { action: 'cancel', filter: { attributes: { order_id: '42', 'a.b': 'gold' }, status: 'pending' } };
    expect((await engine.call('POST', '/api/v1/runs/bulk', bulk)).body).toMatchObject({ done: 1, totalCount: 1 });
    expect(await engine.run(gold ?? '')).toMatchObject({ status: 'cancelled' });
  });
});

describe('CancelRun', () => {
  test('answers with the run after the change, in every state, and once more changes nothing', async () => {
    const { engine, worker } = await openWithWorker();
    const waiting = await engine.start('go-f');
    await worker.yielded(await worker.take(), sleepYield(`${waiting}:nap:0`, later()));
    const running = await engine.start('go-f');
    await worker.take();
    const pending = await engine.start('go-f');
    for (const id of [waiting, running, pending]) {
      const { status, body } = await engine.rpc('CancelRun', { id, reason: 'not needed' });
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { id, status: 'cancelled', endedAt: expect.any(String) },
      });
      expect((await engine.rpc('CancelRun', { id, reason: 'again' })).body).toEqual(body);
    }
    expect(await worker.poll(5)).toEqual([]);
  });

  test('of a run that has ended answers with it as it is', async () => {
    const { engine, worker } = await openWithWorker();
    const id = await engine.start('go-f');
    await worker.completed(await worker.take(), 'done');
    expect(await engine.cancel(id)).toMatchObject({ status: 'completed', output: 'done' });
  });

  test('of a run that is not there is a not_found', async () => {
    const engine = await ContractEngine.open();
    const { status, body } = await engine.rpc('CancelRun', { id: 'run_unknown', reason: '' });
    expect({ status, body }).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });
});

describe('the small calls', () => {
  test('Health and GET /health say ok', async () => {
    const engine = await ContractEngine.open();
    expect((await engine.rpc('Health', {})).body).toMatchObject({ status: 'ok' });
    expect((await engine.call('GET', '/health')).body).toEqual({
      status: 'ok',
      timestamp: expect.stringMatching(/Z$/),
      version: expect.any(String),
    });
  });

  test('RegisterFunction answers with the function and whether it is new', async () => {
    const engine = await ContractEngine.open();
    const ask = () =>
      engine.rpc('RegisterFunction', { id: 'f', endpointUrl: 'http://127.0.0.1:1/x', preferredMode: 'push' });
    expect(await ask()).toMatchObject({ status: 200, body: { created: true, function: { id: 'f' } } });
    expect(await ask()).toMatchObject({ status: 200, body: { created: false, function: { id: 'f' } } });
  });

  test('GET /api/v1/functions lists what is registered', async () => {
    const { engine } = await openWithWorker(['f', 'g/h.i']);
    const { body } = await engine.call('GET', '/api/v1/functions');
    expect(body).toMatchObject({ functions: [{ id: 'f' }, { id: 'g/h.i' }] });
  });

  test('GET /api/v1/capabilities tells transports, features and version', async () => {
    const engine = await ContractEngine.open();
    expect((await engine.call('GET', '/api/v1/capabilities')).body).toEqual({
      transports: expect.any(Array),
      features: expect.any(Array),
      version: expect.any(String),
    });
  });
});

describe('POST /api/v1/events', () => {
  test('answers with the event’s id under both names and the runs', async () => {
    const { engine } = await openWithWorker();
    const { status, body } = await engine.call('POST', '/api/v1/events', { name: 'go-f', data: { n: 1 } });
    const answer = body as { id: string; event_id: string; run_ids: string[] };
    expect(status).toBe(200);
    expect(answer).toEqual({ id: expect.any(String), event_id: answer.id, run_ids: [expect.any(String)] });
    expect(await engine.run(answer.run_ids[0] ?? '')).toMatchObject({ eventId: answer.id, input: { n: 1 } });
  });

  test('is the same intention as Trigger under the same idempotency key', async () => {
    const { engine } = await openWithWorker();
    const { eventId, runIds } = await engine.emit('go-f', {}, { idempotencyKey: 'k' });
    for (const key of ['idempotencyKey', 'idempotency_key']) {
      const { body } = await engine.call('POST', '/api/v1/events', { name: 'go-f', data: {}, [key]: 'k' });
      expect(body).toEqual({ id: eventId, event_id: eventId, run_ids: runIds });
    }
  });

  test('without data emits an empty object', async () => {
    const { engine, worker } = await openWithWorker();
    await engine.call('POST', '/api/v1/events', { name: 'go-f' });
    expect((await worker.take()).event.data).toEqual({});
  });
});

describe('an address', () => {
  test.each(['//api/v1/events', '/api//v1///events'])('%s is /api/v1/events', async (path) => {
    const { engine } = await openWithWorker();
    const { status, body } = await engine.call('POST', path, { name: 'go-f', data: {} });
    expect({ status, body }).toMatchObject({ status: 200, body: { run_ids: [expect.any(String)] } });
  });

  test('with a doubled slash reaches Connect calls and queries too', async () => {
    const { engine } = await openWithWorker();
    expect((await engine.call('POST', '//ironflow.v1.IronflowService/Health', {})).status).toBe(200);
    await engine.start('go-f');
    expect((await engine.call('GET', '//api/v1/runs?limit=1&status=')).body).toMatchObject({ totalCount: 1 });
  });
});

describe('a key', () => {
  const apiKeys = ['ifkey_first', 'ifkey_second'];
  const calls: [string, string, unknown][] = [
    ['POST', '/ironflow.v1.IronflowService/Trigger', { event: 'go' }],
    ['POST', '/ironflow.v1.IronflowService/RegisterFunction', pullFunction('f', 'go')],
    ['POST', '/ironflow.v1.IronflowService/NoSuchMethod', {}],
    ['POST', '/api/v1/events', { name: 'go' }],
    ['GET', '/api/v1/runs', undefined],
    ['GET', '/api/v1/nothing/here', undefined],
    ['POST', '/api/v1/workers/w/register', { function_ids: [] }],
    ['GET', '/api/v1/workers/w/jobs?available=1', undefined],
    ['PUT', '/api/v1/workers/w/jobs/run_x.1', { status: 'completed' }],
  ];

  test.each(calls)('is asked for by %s %s', async (method, path, body) => {
    const engine = await ContractEngine.open({ apiKeys });
    for (const headers of [{}, { authorization: 'Bearer ifkey_wrong' }, { authorization: 'Basic ifkey_first' }]) {
      const reply = await engine.call(method, path, body, headers);
      expect(reply.status).toBe(401);
      if (path.startsWith('/ironflow')) {
        expect(reply.body).toMatchObject({ code: 'unauthenticated', message: expect.stringMatching(/./) });
      } else {
        expect(reply.body).toMatchObject({ code: 'UNAUTHENTICATED', error: expect.stringMatching(/./) });
        expect(reply.body).not.toHaveProperty('message');
      }
    }
  });

  test('of those configured opens everything; /health is open without', async () => {
    const engine = await ContractEngine.open({ apiKeys, reconnectMs: 20 });
    expect((await engine.call('GET', '/health')).status).toBe(200);
    for (const apiKey of apiKeys) {
      const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go')], { apiKey });
      const headers = { authorization: `Bearer ${apiKey}` };
      const { runIds } = await engine.emit('go', {}, {}, headers);
      const job = await worker.take();
      expect(job.run_id).toBe(runIds[0]);
      await worker.completed(job);
    }
  });
});

describe('a client that goes away', () => {
  test('while it waits for a result leaves the engine and the run as they are', async () => {
    const { engine, worker } = await openWithWorker();
    const gone = new AbortController();
    const asked = engine
      .call('POST', '/ironflow.v1.IronflowService/TriggerSync', { event: 'go-f', data: {} }, {}, gone.signal)
      .catch((error: unknown) => error);
    const job = await worker.take();
    gone.abort();
    expect(await asked).toBeInstanceOf(Error);
    await worker.completed(job, 'done');
    expect(
      await eventually(
        () => engine.run(job.run_id),
        ({ status }) => status === 'completed',
      ),
    ).toMatchObject({ output: 'done' });
  });
});
