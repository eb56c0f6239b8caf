// What is wrong is refused with the contract's error body, changes nothing, and hurts nobody else (contract: 12; limits).

import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  ContractEngine,
  failedStep,
  memoOf,
  PublishedWorker,
  pullFunction,
  type Reply,
  sleepYield,
  step,
} from './published-sdk.ts';

const RPC = '/ironflow.v1.IronflowService';
const MiB = 1024 * 1024;

/** An array that nests this deep, as text. */
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** That a reply is an error body of its family (12.2, 12.3), and what it says. */
function errorOf(path: string, { body, headers }: Reply): { readonly code: string; readonly says: string } {
  expect(headers.get('content-type')).toMatch(/^application\/json/);
  const said = body as Readonly<Record<string, unknown>>;
  if (path.startsWith('/ironflow.v1.')) {
    expect(said).toEqual(
      expect.objectContaining({ code: expect.stringMatching(/^[a-z_]+$/), message: expect.any(String) }),
    );
    return { code: String(said['code']), says: String(said['message']) };
  }
  expect(said).toEqual(
    expect.objectContaining({ code: expect.stringMatching(/^[A-Z_]+$/), error: expect.any(String) }),
  );
  expect(said).not.toHaveProperty('message');
  return { code: String(said['code']), says: String(said['error']) };
}

async function openWithJob() {
  const engine = await ContractEngine.open();
  const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
  const runId = await engine.start('go');
  return { engine, worker, runId, job: await worker.take() };
}

/** Posts a body of zeros within JSON, by its length or in chunks, and takes the answer while it still writes. */
function postLarge(url: string, path: string, bytes: number, chunked: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', ...(!chunked && { 'content-length': bytes }) };
    const request = httpRequest(url + path, { method: 'POST', headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject);
    const chunk = Buffer.alloc(64 * 1024, ' ');
    let left = bytes;
    const write = () => {
      while (left > 0) {
        const part = chunk.subarray(0, Math.min(left, chunk.length));
        left -= part.length;
        if (!request.write(part)) {
          request.once('drain', write);
          return;
        }
      }
      request.end();
    };
    write();
  });
}

describe('a body that is not JSON', () => {
  test.each([
    ['POST', `${RPC}/Trigger`, 'invalid_argument'],
    ['POST', `${RPC}/RegisterFunction`, 'invalid_argument'],
    ['POST', '/api/v1/events', 'INVALID_JSON'],
    ['POST', '/api/v1/workers/w/register', 'INVALID_JSON'],
    ['POST', '/api/v1/workers/w/heartbeat', 'INVALID_JSON'],
    ['PUT', '/api/v1/workers/w/jobs/run_x.1', 'INVALID_JSON'],
    ['PUT', '/api/v1/workers/w/jobs/run_x.1/ack', 'INVALID_JSON'],
  ])('is refused by %s %s', async (method, path, code) => {
    const engine = await ContractEngine.open();
    for (const text of ['{"event":', 'event=go', '{"a":1}x', '\u0000']) {
      const reply = await engine.call(method, path, text);
      expect(reply.status).toBe(400);
      expect(errorOf(path, reply)).toMatchObject({ code, says: expect.stringContaining('JSON') });
    }
  });

  test.each(['[]', '"text"', '7', 'null', 'true'])('or is JSON, but %s and no object, is refused', async (text) => {
    const engine = await ContractEngine.open();
    for (const path of [`${RPC}/Trigger`, `${RPC}/GetRun`, '/api/v1/events']) {
      const reply = await engine.call('POST', path, text);
      expect(reply.status).toBe(400);
      errorOf(path, reply);
    }
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/proto',
  ])('by its content type %s is refused', async (type) => {
    const engine = await ContractEngine.open();
    for (const path of [`${RPC}/Trigger`, '/api/v1/events']) {
      const body = { event: 'go', name: 'go', data: {} };
      const reply = await engine.call('POST', path, body, { 'content-type': type });
      expect(reply.status).toBe(415);
      expect(errorOf(path, reply).says).toContain('application/json');
    }
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON'])(
    'is one by %s',
    async (type) => {
      const engine = await ContractEngine.open();
      const { status } = await engine.call('POST', '/api/v1/events', { name: 'go' }, { 'content-type': type });
      expect(status).toBe(200);
    },
  );
});

describe('a field of the wrong type', () => {
  const cases: [string, string, unknown, string][] = [
    ['POST', `${RPC}/Trigger`, { data: {} }, 'event'],
    ['POST', `${RPC}/Trigger`, { event: 7 }, 'event'],
    ['POST', `${RPC}/Trigger`, { event: 'go', version: 'two' }, 'version'],
    ['POST', `${RPC}/Trigger`, { event: 'go', version: -1 }, 'version'],
    ['POST', `${RPC}/Trigger`, { event: 'go', metadata: 'text' }, 'metadata'],
    ['POST', `${RPC}/Trigger`, { event: 'go', idempotencyKey: 7 }, 'idempotencyKey'],
    ['POST', `${RPC}/Trigger`, { event: 'go', idempotency_key: 'k'.repeat(256) }, 'idempotencyKey'],
    ['POST', `${RPC}/TriggerSync`, { event: 'go', timeout_ms: 'soon' }, 'timeoutMs'],
    ['POST', `${RPC}/GetRun`, {}, 'id'],
    ['POST', `${RPC}/GetRun`, { id: '' }, 'id'],
    ['POST', `${RPC}/GetRun`, { id: { $ne: '' } }, 'id'],
    ['POST', `${RPC}/CancelRun`, { id: 'run_x', reason: 7 }, 'reason'],
    ['POST', `${RPC}/ListRuns`, { status: 'sleepy' }, 'status'],
    ['POST', `${RPC}/ListRuns`, { limit: -1 }, 'limit'],
    ['POST', `${RPC}/ListRuns`, { limit: 'many' }, 'limit'],
    ['POST', `${RPC}/ListRuns`, { cursor: 'not one of ours' }, 'cursor'],
    ['POST', `${RPC}/ListRuns`, { attributes: 'orderId=42' }, 'attributes'],
    ['POST', `${RPC}/ListRuns`, { attributes: { 'order id': '42' } }, '"order id"'],
    ['POST', `${RPC}/ListRuns`, { attributes: { orderId: '' } }, '"orderId"'],
    ['POST', `${RPC}/ListRuns`, { attributes: { orderId: { $ne: '' } } }, '"orderId"'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', attributes: ['data.id'] }, 'attributes'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', attributes: { 'order id': 'data.id' } }, '"order id"'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', attributes: { id: 'data.[' } }, 'path of attribute "id"'],
    ['POST', '/api/v1/runs/bulk', { action: 'cancel', filter: { attributes: { orderId: null } } }, '"orderId"'],
    ['POST', `${RPC}/RegisterFunction`, { name: 'x' }, 'id'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', triggers: 'go' }, 'triggers'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', triggers: [{ event: 7 }] }, 'triggers.0.event'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', triggers: [{}] }, 'Trigger 0'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', triggers: [{ event: 'a.>.b' }] }, 'trigger 0'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', retry: { maxAttempts: 1.5 } }, 'maxAttempts'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', retry: { max_attempts: 'three' } }, 'maxAttempts'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', retry: { backoffFactor: 0.5 } }, 'backoffFactor'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', timeoutMs: -1 }, 'timeoutMs'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', concurrency: { limit: 0 } }, 'concurrency.limit'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', preferredMode: 'sideways' }, 'preferredMode'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', preferredMode: 'push' }, 'endpointUrl'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', endpointUrl: 'not a url' }, 'endpointUrl'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f', endpointUrl: 'file:///etc/passwd' }, 'endpointUrl'],
    ['POST', `${RPC}/RegisterFunction`, { id: 'f\n', triggers: [] }, 'function id'],
    ['POST', '/api/v1/events', {}, 'name'],
    ['POST', '/api/v1/events', { name: ['go'] }, 'name'],
    ['GET', '/api/v1/runs?limit=many', undefined, 'limit'],
    ['GET', '/api/v1/runs?status=sleepy', undefined, 'status'],
    ['GET', '/api/v1/runs?cursor=%00', undefined, 'cursor'],
    ['GET', '/api/v1/runs?attribute.orderId=%00', undefined, '"orderId"'],
    ['GET', '/api/v1/runs?attribute.id=1&attribute.id=2', undefined, 'attribute.id is there twice'],
    ['GET', '/api/v1/runs?attribute.=42', undefined, 'attribute name'],
    ['POST', '/api/v1/workers/w/register', {}, 'functionIds'],
    ['POST', '/api/v1/workers/w/register', { function_ids: 'f' }, 'functionIds'],
    ['POST', '/api/v1/workers/w/register', { function_ids: ['f'], max_concurrent_jobs: 0 }, 'maxConcurrentJobs'],
    ['POST', '/api/v1/workers/w/register', { function_ids: ['f'], labels: ['a'] }, 'labels'],
    ['POST', '/api/v1/workers/w/heartbeat', { jobs: [{}] }, 'jobs.0.job_id'],
  ];
  test.each(cases)('in %s %s %j is named: %s', async (method, path, body, field) => {
    const engine = await ContractEngine.open();
    const reply = await engine.call(method, path, body);
    expect(reply.status).toBe(400);
    const { code, says } = errorOf(path, reply);
    expect(code).toBe(path.startsWith(RPC) ? 'invalid_argument' : 'VALIDATION_ERROR');
    expect(says).toContain(field);
    expect((await engine.call('GET', '/api/v1/functions')).body).toEqual({ functions: [] });
    expect((await engine.call('GET', '/api/v1/workers')).body).toEqual({ workers: [] });
  });

  test.each(['-1', '1.5', 'all', 'NaN'])('in a poll for %s jobs is named', async (available) => {
    const { worker } = await openWithJob();
    const path = `/jobs?available=${available}`;
    const reply = await worker.request('GET', path);
    expect(reply.status).toBe(400);
    expect(errorOf(path, reply).says).toContain('available');
  });

  const reports: [Readonly<Record<string, unknown>>, string][] = [
    [{ status: 'halfway' }, 'status'],
    [{}, 'status'],
    [{ status: 'progress', steps: {} }, 'steps'],
    [{ status: 'progress', steps: [{ name: 'a', status: 'completed' }] }, 'steps.0.id'],
    [{ status: 'progress', steps: [{ id: 'a', name: 'a', status: 'running' }] }, 'steps.0.status'],
    [{ status: 'progress', steps: [{ id: 'a', status: 'completed', started_at: 'yesterday' }] }, 'steps.0.started_at'],
    [{ status: 'progress', steps: [], step_offset: -1 }, 'step_offset'],
    [{ status: 'progress', steps: [], execution_seq: 'one' }, 'execution_seq'],
  ];
  test.each(reports)('in the report %j is named, and the job goes on', async (body, field) => {
    const { engine, worker, runId, job } = await openWithJob();
    const reply = await worker.report(job, body);
    expect(reply.status).toBe(400);
    expect(errorOf('/api', reply)).toMatchObject({ code: 'VALIDATION_ERROR', says: expect.stringContaining(field) });
    expect(await engine.run(runId)).toMatchObject({ status: 'running' });
    expect((await worker.completed(job, 'done')).status).toBe(200);
  });
});

describe('a name', () => {
  test.each([
    ['too long', 'e'.repeat(256)],
    ['empty', ''],
    ['with a star', 'order.*'],
    ['with a rest', 'order.>'],
    ['all wildcard', '>'],
    ['with a line break', 'order\nplaced'],
    ['with a NUL', 'order\u0000'],
    ['with half a character', 'order.\ud83d'],
  ])('of an event that is %s is refused everywhere', async (_what, name) => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', '>'));
    const calls: [string, unknown][] = [
      [`${RPC}/Trigger`, { event: name, data: {} }],
      [`${RPC}/TriggerSync`, { event: name, data: {} }],
      ['/ironflow.v1.PubSubService/Emit', { event: name, data: {} }],
      ['/api/v1/events', { name, data: {} }],
    ];
    for (const [path, body] of calls) {
      const reply = await engine.call('POST', path, body);
      expect(reply.status).toBe(400);
      errorOf(path, reply);
    }
    expect(await engine.runs()).toMatchObject({ totalCount: 0 });
  });

  test('of 255 characters of any script is fine', async () => {
    const engine = await ContractEngine.open();
    const name = `${'ü'.repeat(250)}.a*b>`;
    const worker = await PublishedWorker.start(engine, [pullFunction('f', name)]);
    await engine.start(name);
    expect((await worker.take()).event.name).toBe(name);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'like %s is a name like any other',
    async (name) => {
      const engine = await ContractEngine.open();
      const worker = await PublishedWorker.start(engine, [pullFunction(name, 'go')]);
      const text = `{"event":"go","data":{"__proto__":{"polluted":true},"n":1},"idempotencyKey":"${name}","__proto__":{"event":"x"}}`;
      const { status, body } = await engine.call('POST', `${RPC}/Trigger`, text);
      expect({ status, body }).toMatchObject({ status: 200, body: { runIds: [expect.any(String)] } });
      const job = await worker.take();
      expect(job.function_id).toBe(name);
      expect(JSON.stringify(job.event.data)).toBe('{"__proto__":{"polluted":true},"n":1}');
      expect(await engine.start(name)).toEqual(expect.any(String));
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    },
  );

  test.each(['-x', 'a b', '../default', 'e'.repeat(64)])('%j is no environment’s', async (name) => {
    const engine = await ContractEngine.open();
    for (const path of [`${RPC}/Trigger`, '/api/v1/events']) {
      const headers = { 'x-ironflow-environment': name };
      const reply = await engine.call('POST', path, { event: 'go', name: 'go' }, headers);
      expect(reply.status).toBe(400);
      expect(errorOf(path, reply).says).toContain(name);
    }
  });
});

describe('a body that is too large', () => {
  test.each([
    [`${RPC}/Trigger`, false],
    [`${RPC}/Trigger`, true],
    ['/api/v1/events', false],
    ['/api/v1/events', true],
    ['/api/v1/workers/w/register', false],
  ])('is refused with 413 at %s, and the caller gets to read it (chunked: %s)', async (path, chunked) => {
    const engine = await ContractEngine.open();
    expect(await postLarge(engine.url, path, 6 * MiB, chunked)).toBe(413);
    expect((await engine.call('GET', '/health')).status).toBe(200);
  });

  test('says so in the error body of its family, and nothing is stored', async () => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go'));
    const data = 'x'.repeat(4 * MiB);
    const calls: [string, unknown, string][] = [
      [`${RPC}/Trigger`, { event: 'go', data }, 'resource_exhausted'],
      ['/api/v1/events', { name: 'go', data }, 'PAYLOAD_TOO_LARGE'],
    ];
    for (const [path, body, code] of calls) {
      const reply = await engine.call('POST', path, body);
      expect(reply.status).toBe(413);
      expect(errorOf(path, reply).code).toBe(code);
    }
    expect(await engine.runs()).toMatchObject({ totalCount: 0 });
  });

  test('just below the limit is taken, and comes back whole', async () => {
    const engine = await ContractEngine.open();
    const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    const data = 'é'.repeat(2 * MiB - 100);
    await engine.start('go', data);
    expect((await worker.take()).event.data === data).toBe(true);
  });
});

describe('a body that nests too deep', () => {
  test.each([65, 100_000])('%i levels is refused', async (depth) => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go'));
    for (const path of [`${RPC}/Trigger`, '/api/v1/events']) {
      const reply = await engine.call('POST', path, `{"event":"go","name":"go","data":${nested(depth)}}`);
      expect(reply.status).toBe(400);
      expect(errorOf(path, reply).says).toMatch(/deep/);
    }
    expect(await engine.runs()).toMatchObject({ totalCount: 0 });
  });

  test('is not one whose text merely looks so', async () => {
    const engine = await ContractEngine.open();
    const { status } = await engine.call('POST', '/api/v1/events', { name: 'go', data: `\\"${nested(1_000)}` });
    expect(status).toBe(200);
    const deepest = await engine.call('POST', '/api/v1/events', `{"name":"go","data":${nested(60)}}`);
    expect(deepest.status).toBe(200);
  });
});

describe('an address that is not there', () => {
  test.each([
    ['POST', `${RPC}/NoSuchMethod`, 501, 'unimplemented'],
    ['POST', '/ironflow.v1.NoSuchService/Trigger', 501, 'unimplemented'],
    ['POST', `${RPC}/constructor`, 501, 'unimplemented'],
    ['GET', `${RPC}/Trigger`, 405, 'unimplemented'],
    ['GET', '/', 404, 'NOT_FOUND'],
    ['GET', '/api/v1/nothing', 404, 'NOT_FOUND'],
    ['POST', '/ironflow.v2.IronflowService/Trigger', 404, 'NOT_FOUND'],
    ['GET', '/api/v1/events', 405, 'METHOD_NOT_ALLOWED'],
    ['DELETE', '/api/v1/runs', 405, 'METHOD_NOT_ALLOWED'],
    ['POST', '/health', 405, 'METHOD_NOT_ALLOWED'],
    ['PATCH', '/api/v1/workers/w/jobs/run_x.1', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/api/v1/runs/run_unknown', 404, 'RUN_NOT_FOUND'],
    ['GET', '/api/v1/runs/%E0%A4%A', 404, undefined],
    ['GET', '/api/v1/%', 404, undefined],
    ['GET', `/api/v1/runs/${'x'.repeat(5_000)}`, 404, undefined],
    ['GET', '/api/v1/../../etc/passwd', 404, undefined],
    ['PUT', '/api/v1/workers/w/jobs/nonsense', 404, undefined],
  ])('%s %s is answered %i', async (method, path, status, code) => {
    const engine = await ContractEngine.open();
    const reply = await engine.call(method, path, method === 'GET' ? undefined : {});
    expect(reply.status).toBe(status);
    const error = errorOf(path.startsWith('/ironflow.v2') ? '/rest' : path, reply);
    if (code !== undefined) expect(error.code).toBe(code);
  });

  test('because it was called under another host’s name is refused', async () => {
    const engine = await ContractEngine.open();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      httpRequest(`${engine.url}/api/v1/runs`, { headers: { host: 'evil.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(403);
  });

  test('and is no HTTP at all ends that connection only', async () => {
    const engine = await ContractEngine.open();
    const { port } = new URL(engine.url);
    const said = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write('\u0016\u0003\u0001 hello\r\n\r\n'));
      let text = '';
      socket.on('data', (chunk) => (text += String(chunk)));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
    expect(said).toMatch(/^HTTP\/1\.1 400/);
    expect((await engine.call('GET', '/health')).status).toBe(200);
  });
});

describe('a request that is refused', () => {
  test('changes nothing: a registration', async () => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go'));
    await engine.rpc('RegisterFunction', pullFunction('f', 'other', { retry: { maxAttempts: -1 } }));
    expect((await engine.emit('go')).runIds).toHaveLength(1);
    expect((await engine.registerFunction(pullFunction('f', 'go'))).function.version).toBe(1);
  });

  test('changes nothing: a batch of events with one that is wrong', async () => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go'));
    const events = [{ event: 'go', data: {}, idempotencyKey: 'k' }, { event: 'go.*' }];
    expect((await engine.rpc('TriggerBatch', { events })).status).toBe(400);
    expect(await engine.runs()).toMatchObject({ totalCount: 0 });
    expect((await engine.emit('go', {}, { idempotencyKey: 'k' })).runIds).toHaveLength(1);
  });

  test('changes nothing: a checkpoint with one step that is wrong', async () => {
    const { engine, worker, runId, job } = await openWithJob();
    const wrong = { ...step(runId, 'b'), status: 'done' as 'completed' };
    expect((await worker.progress(job, [step(runId, 'a', 1), wrong])).status).toBe(400);
    expect(await engine.steps(runId)).toEqual([]);
    await worker.yielded(job, sleepYield(`${runId}:nap:0`, new Date()));
    expect(Object.keys(memoOf(await worker.take()))).toEqual([`${runId}:nap:0`]);
  });

  test('changes nothing: a checkpoint under an outdated lease', async () => {
    const { engine, worker, runId, job } = await openWithJob();
    for (const stale of [
      { ...job, execution_seq: 7 },
      { ...job, lease_token: 'x' },
    ]) {
      expect(await worker.progress(stale, [step(runId, 'a', 1)])).toMatchObject({ status: 409 });
      expect(await worker.completed(stale, 'x')).toMatchObject({ status: 409, body: { code: 'STALE_EXECUTION' } });
      // Nor can it end the run by being unreadable.
      expect(await worker.report(stale, { status: 'completed', steps: 'x' })).toMatchObject({ status: 400 });
    }
    expect(await engine.steps(runId)).toEqual([]);
    expect(await engine.run(runId)).toMatchObject({ status: 'running' });
  });
});

describe('a last report that cannot be stored', () => {
  const last: [string, (runId: string) => Readonly<Record<string, unknown>>, RegExp][] = [
    [
      'an output that nests too deep',
      () => ({ status: 'completed', output: JSON.parse(nested(70)) as unknown }),
      /deep/,
    ],
    ['a step id that is too long', (id) => ({ status: 'completed', steps: [step(id, 's'.repeat(2_048))] }), /steps\.0/],
    [
      'half a character in a step id',
      (id) => ({ status: 'completed', steps: [step(id, 'cut \ud83d')] }),
      /steps\.0\.id/,
    ],
    [
      'a yield of an unknown type',
      (id) => ({ status: 'yielded', yield: { step_id: `${id}:x:0`, type: 'nap' } }),
      /yield/,
    ],
    ['a yield of nothing', () => ({ status: 'yielded' }), /yield/],
    [
      'a sleep without an end',
      (id) => ({ status: 'yielded', yield: { step_id: `${id}:x:0`, type: 'sleep' } }),
      /yield\.until/,
    ],
    [
      'a wait without an event',
      (id) => ({ status: 'yielded', yield: { step_id: `${id}:x:0`, type: 'wait_for_event', event_filter: {} } }),
      /yield\.event_filter\.event/,
    ],
    ['a failure of the wrong type', () => ({ status: 'failed', error: 'boom' }), /error/],
  ];
  test.each(last)('for %s ends its run, saying why', async (_what, report, says) => {
    const { engine, worker, runId, job } = await openWithJob();
    const reply = await worker.report(job, report(runId));
    expect(reply.status).toBe(400);
    expect(errorOf('/api', reply).says).toMatch(says);
    const run = await engine.until(runId, 'failed');
    expect(run.error?.message).toMatch(says);
    expect(await engine.steps(runId)).toEqual([]);
    expect(await worker.poll(1)).toEqual([]);
  });

  test('for its size ends its run, saying why', async () => {
    const { engine, worker, runId, job } = await openWithJob();
    const reply = await worker.completed(job, 'x'.repeat(17 * MiB));
    expect(reply.status).toBe(413);
    const run = await engine.until(runId, 'failed');
    expect(run.error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', message: expect.stringContaining('bytes') });
  });

  const tooLarge = 'x'.repeat(4 * MiB - 1); // with its quotes, one byte more than is stored
  const large: [string, (id: string) => Readonly<Record<string, unknown>>, RegExp][] = [
    [
      'the output of a step',
      (id) => ({ status: 'completed', steps: [step(id, 'a', 1), step(id, 'b', tooLarge)] }),
      /"b"/,
    ],
    ['the output of a run', () => ({ status: 'completed', output: tooLarge }), /output of the function/],
    [
      'the input of a call',
      (id) => ({
        status: 'yielded',
        yield: { type: 'invoke_function', step_id: `${id}:call:0`, function_id: 'f', input: tooLarge },
      }),
      /input of step "call"/,
    ],
    // It would come back within the last report.
    ['the output of a step in a checkpoint', (id) => ({ status: 'progress', steps: [step(id, 'b', tooLarge)] }), /"b"/],
  ];
  test.each(large)('for the size of %s ends its run, saying of what', async (_what, report, says) => {
    const { engine, worker, runId, job } = await openWithJob();
    const reply = await worker.report(job, report(runId));
    const details = { limit: 'payloadBytesMax', value: 4 * MiB, bytes: 4 * MiB + 1 };
    expect(reply).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE', details } });
    const { error } = await engine.until(runId, 'failed');
    expect(error).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      message: expect.stringMatching(says),
    });
    expect(await engine.steps(runId)).toEqual([]);
  });

  test('is none for a payload of just the size that is stored', async () => {
    const { engine, worker, runId, job } = await openWithJob();
    expect((await worker.completed(job, tooLarge.slice(1))).status).toBe(200);
    expect(await engine.run(runId)).toMatchObject({ status: 'completed' });
  });

  test('for a step id of two kinds ends its run, saying which', async () => {
    const { engine, worker, runId, job } = await openWithJob();
    const undo = { ...failedStep(runId, 'a', 'no'), type: 'compensate' as const };
    await worker.progress(job, [step(runId, 'a')]);
    await worker.failed(job, { message: 'no', code: 'ERROR', retryable: true }, [undo]);
    expect((await engine.until(runId, 'failed')).error).toMatchObject({
      code: 'NON_DETERMINISTIC',
      message: expect.stringContaining('"a"'),
    });
  });
});

describe('a caller that leaves in the middle of its body', () => {
  test('leaves nothing behind', async () => {
    const engine = await ContractEngine.open();
    await engine.registerFunction(pullFunction('f', 'go'));
    const { port } = new URL(engine.url);
    await new Promise<void>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        const head = `POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n`;
        socket.write(`${head}{"name":"go","data":{`, () => socket.destroy());
      });
      socket.on('close', () => resolve());
      socket.on('error', reject);
    });
    expect(await engine.runs()).toMatchObject({ totalCount: 0 });
    expect((await engine.emit('go')).runIds).toHaveLength(1);
  });
});
