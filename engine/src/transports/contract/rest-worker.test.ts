// The REST worker of the published SDK against this engine, over real sockets (contract: 4, 5, 8, 12).

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually, inTime } from '../../test-support/eventually.ts';
import {
  type Assignment,
  ContractEngine,
  failedStep,
  invokeAsyncYield,
  invokeYield,
  memoOf,
  PublishedWorker,
  pullFunction,
  type Step,
  sleepYield,
  step,
  waitYield,
} from './published-sdk.ts';

const soon = (ms = 30) => new Date(Date.now() + ms);

/** An engine with one function `f`, started by `go`, and a worker that has it. */
async function openWithWorker(
  registration: Readonly<Record<string, unknown>> = {},
  options: Parameters<typeof ContractEngine.open>[0] = {},
) {
  const engine = await ContractEngine.open(options);
  const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go', registration)]);
  return { engine, worker };
}

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

describe('a poll', () => {
  test('is answered 204 when there is nothing for the time it is held', async () => {
    const { worker } = await openWithWorker();
    expect(await worker.request('GET', '/jobs?available=1')).toMatchObject({ status: 204, text: '' });
  });

  test('of a worker that is not registered is answered 404', async () => {
    const engine = await ContractEngine.open();
    const { status, body } = await new PublishedWorker(engine, ['f']).request('GET', '/jobs?available=1');
    expect({ status, body }).toMatchObject({ status: 404, body: { error: expect.any(String) } });
  });

  test('gets a list of jobs, and without `available` a single one', async () => {
    const { engine, worker } = await openWithWorker();
    const first = await engine.start('go', { n: 1 });
    const [job] = await worker.poll(5);
    expect(job?.run_id).toBe(first);
    const second = await engine.start('go', { n: 2 });
    const third = await engine.start('go', { n: 3 });
    const old = [await worker.pollOld(), await worker.pollOld(), await worker.pollOld()];
    expect(old.map((one) => one?.run_id)).toEqual([second, third, undefined]);
  });

  test('never gets more than it has room for, and the rest comes with later ones, the oldest first', async () => {
    const { engine, worker } = await openWithWorker();
    const started: string[] = [];
    for (let n = 0; n < 7; n++) started.push(await engine.start('go', { n }));
    const batches: (readonly Assignment[])[] = [];
    for (const available of [2, 3, 1, 10]) batches.push(await worker.poll(available));
    expect(batches.map((batch) => batch.length)).toEqual([2, 3, 1, 1]);
    expect(batches.flat().map(({ run_id }) => run_id)).toEqual(started);
  });

  test('keeps nothing back from other workers beyond what it has room for', async () => {
    const engine = await ContractEngine.open({ pollMs: 60_000, reconnectMs: 60_000 });
    await engine.registerFunction(pullFunction('g', 'go-g'));
    const started = [await engine.start('go-g'), await engine.start('go-g'), await engine.start('go-g')];
    const one = await PublishedWorker.start(engine, [pullFunction('g', 'go-g')]);
    const other = await PublishedWorker.start(engine, [pullFunction('g', 'go-g')]);
    const jobs = await inTime(one.poll(1), 'the first job');
    while (jobs.length < 3) jobs.push(...(await inTime(other.poll(5), 'the other jobs')));
    expect(jobs.map(({ run_id }) => run_id)).toEqual(started);
  });

  test('that is held gets a job that becomes ready at once', async () => {
    const { engine, worker } = await openWithWorker({}, { pollMs: 60_000 });
    const held = worker.poll(1);
    await eventually(
      () => engine.call('GET', '/api/v1/workers'),
      ({ text }) => text.includes(worker.id),
    );
    const runId = await engine.start('go');
    const [job] = await inTime(held, 'the job of a held poll');
    expect(job?.run_id).toBe(runId);
  });

  test('that is held gets one job only, however many become ready together', async () => {
    const { engine, worker } = await openWithWorker({}, { pollMs: 60_000 });
    const held = worker.poll(1);
    await Promise.all([engine.start('go'), engine.start('go'), engine.start('go')]);
    expect(await inTime(held, 'the job of a held poll')).toHaveLength(1);
    expect(await inTime(worker.poll(5), 'the other jobs')).toHaveLength(2);
  });

  test('gets jobs of the functions that its worker has, and of no others', async () => {
    const { engine, worker } = await openWithWorker();
    await engine.registerFunction(pullFunction('g', 'go-g'));
    const other = await engine.start('go-g');
    expect(await worker.poll(5)).toEqual([]);
    expect(await engine.run(other)).toMatchObject({ attempt: 1 });
    expect((await engine.run(other)).startedAt).toBeUndefined();
    const late = await PublishedWorker.start(engine, [pullFunction('g', 'go-g')]);
    expect((await late.take()).run_id).toBe(other);
  });

  test('whose caller goes away before the answer loses no job', async () => {
    const { engine, worker } = await openWithWorker({}, { pollMs: 60_000, reconnectMs: 50 });
    const gone = new AbortController();
    const broken = worker.poll(1, gone.signal).catch((error: unknown) => error);
    gone.abort();
    expect(await broken).toBeInstanceOf(Error);
    const runId = await engine.start('go');
    expect((await inTime(worker.take(), 'the job')).run_id).toBe(runId);
  });
});

describe('a worker that dies while its poll is held', () => {
  test('attracts no job: another gets it at once', async () => {
    const { engine, worker: dead } = await openWithWorker({}, { pollMs: 60_000, reconnectMs: 60_000 });
    const killed = new AbortController();
    const broken = dead.poll(5, killed.signal).catch((error: unknown) => error);
    const other = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    const held = other.poll(5);
    killed.abort();
    await broken;
    const started = [await engine.start('go'), await engine.start('go'), await engine.start('go')];
    const jobs = await inTime(held, 'the first jobs');
    while (jobs.length < 3) jobs.push(...(await inTime(other.poll(5), 'the other jobs')));
    expect(jobs.map(({ run_id }) => run_id)).toEqual(started);
  });
});

describe('an assignment', () => {
  test('carries the run, the event and the fence in the forms of the contract', async () => {
    const { engine, worker } = await openWithWorker();
    const { eventId, runIds } = await engine.emit(
      'go',
      { order: { id: 'o-1', tags: ['a', null], emptyObject: {} } },
      { version: 3, metadata: { source_ip: '::1' } },
    );
    const [job] = await worker.poll(1);
    expect(job).toEqual({
      job_id: expect.any(String),
      run_id: runIds[0],
      function_id: 'f',
      attempt: 1,
      event: {
        id: eventId,
        name: 'go',
        version: 3,
        data: { order: { id: 'o-1', tags: ['a', null], emptyObject: {} } },
        metadata: { source_ip: '::1' },
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      },
      completed_steps: [],
      step_sequence_base: 0,
      context: {},
      execution_seq: expect.any(Number),
      lease_token: expect.stringMatching(/./),
    });
  });

  test.each([[null], ['text'], [0], [false], [[1, 'two']], [{}]])(
    'carries event data %j as it was emitted',
    async (data) => {
      const { engine, worker } = await openWithWorker();
      await engine.start('go', data);
      expect((await worker.take()).event.data).toEqual(data);
    },
  );
});

describe('acknowledging a job', () => {
  test('is answered 2xx while its lease stands, more than once if asked again', async () => {
    const { engine, worker } = await openWithWorker();
    await engine.start('go');
    const [job] = await worker.poll(1);
    if (job === undefined) throw new Error('no job');
    expect((await worker.ack(job)).status).toBe(200);
    expect((await worker.ack(job)).status).toBe(200);
  });

  test.each([
    ['an outdated fence', { execution_seq: 0 }],
    ['a foreign token', { lease_token: 'another' }],
  ])('is answered 409 with %s', async (_what, change) => {
    const { engine, worker } = await openWithWorker();
    await engine.start('go');
    const job = await worker.take();
    const { status, body } = await worker.ack({ ...job, ...change });
    expect({ status, body }).toMatchObject({ status: 409, body: { code: 'STALE_EXECUTION' } });
  });

  test('is answered 409 once the run was cancelled, and to a worker that does not hold it', async () => {
    const { engine, worker } = await openWithWorker();
    const thief = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    const runId = await engine.start('go');
    const job = await worker.take();
    expect((await thief.ack(job)).status).toBe(409);
    await engine.cancel(runId);
    expect(await worker.ack(job)).toMatchObject({ status: 409, body: { code: 'RUN_NOT_RUNNING' } });
  });
});

describe('the steps of a run', () => {
  test('that were flushed before a yield are the memo of the next assignment', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    await worker.progress(job, [step(runId, 'a', { n: 1 }), step(runId, 'b')]);
    await worker.progress(
      job,
      [step(runId, 'c', null), step(runId, 'publish:t', { eventId: 'msg_1', sequence: 4 })],
      2,
    );
    expect((await worker.yielded(job, sleepYield(`${runId}:nap:0`, soon()))).status).toBe(200);
    const resumed = await worker.take();
    expect(resumed).toMatchObject({ run_id: runId, attempt: 1 });
    expect(memoOf(resumed)).toEqual({
      [`${runId}:a:0`]: { n: 1 },
      [`${runId}:b:0`]: null,
      [`${runId}:c:0`]: null,
      [`${runId}:publish:t:0`]: { eventId: 'msg_1', sequence: 4 },
      [`${runId}:nap:0`]: null,
    });
    expect(resumed.job_id).not.toBe(job.job_id);
    expect(resumed.execution_seq).toBeGreaterThan(job.execution_seq ?? Number.POSITIVE_INFINITY);
    expect(resumed.step_sequence_base).toBeGreaterThan(job.step_sequence_base);
  });

  test('are listed in the order in which they ran, waits included', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const first = await worker.take();
    await worker.progress(first, [step(runId, 'a')]);
    await worker.yielded(first, sleepYield(`${runId}:nap:0`, soon()));
    const second = await worker.take();
    await worker.progress(second, [step(runId, 'b')]);
    await worker.yielded(second, sleepYield(`${runId}:nap:1`, soon()));
    const third = await worker.take();
    await worker.completed(third, 'done', [step(runId, 'c')]);
    expect((await engine.steps(runId)).map(({ stepId }) => stepId)).toEqual(
      ['a:0', 'nap:0', 'b:0', 'nap:1', 'c:0'].map((id) => `${runId}:${id}`),
    );
  });

  test('are stored once when the same progress comes twice, its first answer having been lost', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    const sent = [step(runId, 'a', 1), step(runId, 'b', 2)];
    expect((await worker.progress(job, sent)).status).toBe(200);
    expect((await worker.progress(job, sent)).status).toBe(200);
    expect((await worker.progress(job, [...sent, step(runId, 'c', 3)])).status).toBe(200);
    expect((await worker.completed(job, 'done', [step(runId, 'c', 3), step(runId, 'd', 4)], 2)).status).toBe(200);
    expect((await engine.steps(runId)).map(({ name, output }) => [name, output])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
      ['d', 4],
    ]);
  });

  test('may have one id twice in a report, as two parallels of one name give', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    const twice = [step(runId, 'a', 1), step(runId, 'a', 1), step(runId, 'b', 2)];
    expect((await worker.progress(job, twice)).status).toBe(200);
    expect((await worker.completed(job, 'done')).status).toBe(200);
    expect((await engine.steps(runId)).map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('complete after they failed in an earlier attempt, in a report that repeats others', async () => {
    const { engine, worker } = await openWithWorker({ retry: { maxAttempts: 3, initialDelayMs: 1 } });
    const runId = await engine.start('go');
    const first = await worker.take();
    const timeout = { message: 'step "a" took too long', code: 'STEP_TIMEOUT', retryable: true };
    await worker.failed(first, timeout, [failedStep(runId, 'a', timeout.message, true)]);
    const second = await worker.take();
    const b = step(runId, 'b', 2);
    await worker.progress(second, [b]);
    // The answer to that was lost: b is sent again, now with a.
    await worker.progress(second, [b, step(runId, 'a', 1)]);
    await worker.yielded(second, sleepYield(`${runId}:nap:0`, soon()));
    expect(memoOf(await worker.take())).toEqual({ [`${runId}:a:0`]: 1, [`${runId}:b:0`]: 2, [`${runId}:nap:0`]: null });
  });

  test('that failed are not in the memo, and run again', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    // The handler caught the step's error and went on.
    await worker.progress(job, [step(runId, 'a', 1), failedStep(runId, 'flaky', 'no luck')]);
    await worker.yielded(job, sleepYield(`${runId}:nap:0`, soon()));
    const resumed = await worker.take();
    expect(Object.keys(memoOf(resumed)).sort()).toEqual([`${runId}:a:0`, `${runId}:nap:0`]);
    await worker.completed(resumed, 'done', [step(runId, 'flaky', 'luck')]);
    expect((await engine.steps(runId)).find(({ name }) => name === 'flaky')).toMatchObject({ output: 'luck' });
  });

  test('may all come with the final report, more than a checkpoint takes', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    const steps = Array.from({ length: 1_200 }, (_, i) => step(runId, 's', i, i));
    expect(await worker.completed(job, 'done', steps)).toMatchObject({ status: 200 });
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', output: 'done' });
    expect(await engine.steps(runId)).toHaveLength(1_200);
  });

  test('keep ids with colons, backslashes, branches and text of all kinds', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    const ids = ['fan:0:a\\:b:0', 'back\\\\slash:0', 'größe 📦/x.y:0', 'compensate:charge:0'].map(
      (id) => `${runId}:${id}`,
    );
    await worker.progress(
      job,
      ids.map((id, i): Step => ({ ...step(runId, 'x', i), id })),
    );
    await worker.yielded(job, sleepYield(`${runId}:nap:0`, soon()));
    expect(memoOf(await worker.take())).toMatchObject(Object.fromEntries(ids.map((id, i) => [id, i])));
  });

  test('include the compensations of a failure, which ends the run', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    const compensate = (name: string, status: 'completed' | 'failed'): Step => ({
      ...(status === 'completed' ? step(runId, name) : failedStep(runId, name, 'no undo')),
      id: `${runId}:compensate:${name}:0`,
      name: `compensate:${name}`,
      type: 'compensate',
      compensation_for: name,
    });
    const error = { message: 'declined', code: 'STEP_FAILED', retryable: false };
    const { status } = await worker.failed(job, error, [
      step(runId, 'reserve', 1),
      failedStep(runId, 'charge', 'declined'),
      compensate('charge', 'failed'),
      compensate('reserve', 'completed'),
    ]);
    expect(status).toBe(200);
    expect(await engine.run(runId)).toMatchObject({ status: 'failed', error });
    const steps = await engine.steps(runId);
    expect(Object.fromEntries(steps.map(({ name, status }) => [name, status]))).toEqual({
      reserve: 'STEP_STATUS_COMPLETED',
      charge: 'STEP_STATUS_FAILED',
      'compensate:charge': 'STEP_STATUS_FAILED',
      'compensate:reserve': 'STEP_STATUS_COMPLETED',
    });
    expect(await worker.poll(1)).toEqual([]);
  });
});

describe('the end of a run', () => {
  test.each([
    ['an object', { ok: true, nothing: null }],
    ['text', 'done'],
    ['zero', 0],
    ['null', null],
    ['nothing', undefined],
  ])('keeps %s as its output', async (_what, output) => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    await worker.completed(await worker.take(), output);
    const run = await engine.run(runId);
    expect(run).toMatchObject({ status: 'completed', output: output ?? null });
    expect(run.endedAt).toBeDefined();
    expect(run.error).toBeUndefined();
  });

  test('is told once: the same report again is refused', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    await worker.completed(job, 'first');
    expect(await worker.completed(job, 'second')).toMatchObject({ status: 409, body: { code: 'RUN_NOT_RUNNING' } });
    expect(await worker.progress(job, [step(runId, 'late')])).toMatchObject({ status: 409 });
    expect(await engine.run(runId)).toMatchObject({ output: 'first' });
    expect(await engine.steps(runId)).toEqual([]);
  });

  test('comes at once with a failure that is not retryable', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const error = { message: 'declined', code: 'STEP_FAILED', retryable: false };
    await worker.failed(await worker.take(), error, [failedStep(runId, 'charge', 'declined')]);
    expect(await engine.run(runId)).toMatchObject({ status: 'failed', attempt: 1, maxAttempts: 3, error });
    expect(await worker.poll(1)).toEqual([]);
  });

  test('comes after the last attempt of a failure that is retryable; each attempt has the memo of those before', async () => {
    const { engine, worker } = await openWithWorker({
      retry: { maxAttempts: 3, initialDelayMs: 20, backoffFactor: 3, maxDelayMs: 40 },
    });
    const runId = await engine.start('go');
    const error = { message: 'not now', code: 'ERROR', retryable: true };
    let failedAt = 0;
    const memos: unknown[] = [];
    for (const attempt of [1, 2, 3]) {
      const job = await worker.take();
      expect(job.attempt).toBe(attempt);
      if (attempt > 1) expect(Date.now() - failedAt).toBeGreaterThanOrEqual(attempt === 2 ? 20 : 40);
      memos.push(Object.values(memoOf(job)));
      failedAt = Date.now();
      await worker.failed(job, error, [step(runId, 's', attempt, attempt)]);
    }
    expect(memos).toEqual([[], [1], [1, 2]]);
    expect(await engine.run(runId)).toMatchObject({ status: 'failed', attempt: 3, error });
  });

  test('comes at the first failure of a function that has one attempt', async () => {
    const { engine, worker } = await openWithWorker({ retry: { maxAttempts: 1 } });
    const runId = await engine.start('go');
    await worker.failed(await worker.take(), { message: 'no', code: 'ERROR', retryable: true });
    expect(await engine.run(runId)).toMatchObject({ status: 'failed', attempt: 1, maxAttempts: 1 });
  });

  test('is a failure when its worker does not know the function, without an acknowledgement', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const [job] = await worker.poll(1);
    if (job === undefined) throw new Error('no job');
    const error = { message: 'Function not found: f', code: 'FUNCTION_NOT_FOUND', retryable: false };
    expect((await worker.failed(job, error)).status).toBe(200);
    expect(await engine.run(runId)).toMatchObject({ status: 'failed', error });
  });

  test('is refused once the run was cancelled, and stays cancelled', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    expect(await engine.cancel(runId, 'changed my mind')).toMatchObject({ id: runId, status: 'cancelled' });
    for (const refused of [
      await worker.progress(job, [step(runId, 'a')]),
      await worker.yielded(job, sleepYield(`${runId}:nap:0`, soon())),
      await worker.failed(job, { message: 'no', code: 'ERROR', retryable: true }),
      await worker.completed(job, 'done'),
    ]) {
      expect(refused).toMatchObject({ status: 409, body: { code: 'RUN_NOT_RUNNING' } });
    }
    expect(await engine.run(runId)).toMatchObject({ status: 'cancelled' });
    expect(await engine.steps(runId)).toEqual([]);
    expect(await worker.poll(1)).toEqual([]);
  });

  test('comes when an execution has used up the timeout of its function', async () => {
    const { engine, worker } = await openWithWorker({ timeoutMs: 250, retry: { maxAttempts: 2, initialDelayMs: 1 } });
    const runId = await engine.start('go');
    const job = await worker.take();
    const again = await worker.take();
    expect(again).toMatchObject({ run_id: runId, attempt: 2 });
    expect(await worker.completed(job, 'late')).toMatchObject({ status: 409, body: { code: 'STALE_EXECUTION' } });
    expect(await engine.until(runId, 'failed')).toMatchObject({ attempt: 2 });
  });
});

describe('a yielded sleep', () => {
  test('parks the run and comes back when it is over, not before', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    const job = await worker.take();
    const until = soon(250);
    await worker.yielded(job, sleepYield(`${runId}:nap:0`, until));
    expect(await engine.run(runId)).toMatchObject({ status: 'waiting' });
    const resumed = await worker.take();
    expect(Date.now()).toBeGreaterThanOrEqual(until.getTime());
    expect(memoOf(resumed)).toEqual({ [`${runId}:nap:0`]: null });
  });

  test('whose time is past comes back at once', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    await worker.yielded(await worker.take(), sleepYield(`${runId}:nap:0`, new Date(Date.now() - 1_000)));
    const resumed = await worker.take();
    expect(resumed).toMatchObject({ run_id: runId, attempt: 1 });
    expect(memoOf(resumed)).toEqual({ [`${runId}:nap:0`]: null });
  });

  test('frees the slot of its worker', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    await worker.yielded(await worker.take(), sleepYield(`${runId}:nap:0`, soon(60_000)));
    const { body } = await engine.call('GET', '/api/v1/workers');
    expect(body).toMatchObject({ workers: [{ active_jobs: 0 }] });
    expect(await worker.poll(1)).toEqual([]);
  });
});

describe('a yielded wait for an event', () => {
  test('comes back with the whole event', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    await worker.yielded(await worker.take(), waitYield(`${runId}:paid:0`, 'order.paid'));
    const { eventId } = await engine.emit('order.paid', { amount: 7 }, { version: 2, metadata: { by: 'me' } });
    const resumed = await worker.take();
    expect(memoOf(resumed)).toEqual({
      [`${runId}:paid:0`]: {
        id: eventId,
        name: 'order.paid',
        version: 2,
        data: { amount: 7 },
        metadata: { by: 'me' },
        timestamp: expect.stringMatching(/Z$/),
      },
    });
    expect(resumed.completed_steps[0]?.name).toBe('paid');
    await worker.completed(resumed);
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', attempt: 1 });
  });

  const matches: [string, string | undefined, unknown, unknown[], number][] = [
    ['no match takes the first event of the name', undefined, {}, [{ n: 0 }, { n: 1 }], 0],
    ['a path compares with the run’s own event', 'data.id', { id: 'a' }, [{ id: 'b' }, {}, { id: 'a' }], 2],
    ['a deep path', 'data.order.id', { order: { id: 4 } }, [{ order: { id: '4' } }, { order: { id: 4 } }], 1],
    ['a literal in double quotes', 'data.id == "x\\"y"', {}, [{ id: 'x' }, { id: 'x"y' }], 1],
    ['a literal in single quotes', "data.id == 'x'", {}, [{ id: 'y' }, { id: 'x' }], 1],
    ['a number', 'data.n == 3', {}, [{ n: '3' }, { n: 3 }], 1],
    ['a flag', 'data.ok == true', {}, [{ ok: false }, { ok: true }], 1],
  ];
  test.each(matches)('%s', async (_what, match, started, emitted, met) => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go', started);
    await worker.yielded(await worker.take(), waitYield(`${runId}:w:0`, 'news', match));
    for (const data of emitted) await engine.emit('news', data);
    const [event] = Object.values(memoOf(await worker.take()));
    expect(event).toMatchObject({ data: emitted[met] });
  });

  test('is met by an event that came after the run’s start and before the wait', async () => {
    const { engine, worker } = await openWithWorker();
    await engine.emit('news', { when: 'before the run' });
    const runId = await engine.start('go', { id: 'a' });
    const job = await worker.take();
    await engine.emit('news', { id: 'b', when: 'during the run, for another' });
    await engine.emit('news', { id: 'a', when: 'during the run' });
    await engine.emit('news', { id: 'a', when: 'later' });
    await worker.yielded(job, waitYield(`${runId}:w:0`, 'news', 'data.id'));
    const [event] = Object.values(memoOf(await worker.take()));
    expect(event).toMatchObject({ data: { when: 'during the run' } });
  });

  test('is not met by the event that started the run, nor by another environment’s', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go', { n: 1 });
    await worker.yielded(await worker.take(), waitYield(`${runId}:w:0`, 'go', 'data.n'));
    await engine.emit('go', { n: 1 }, {}, { 'x-ironflow-environment': 'elsewhere' });
    expect(await worker.poll(1)).toEqual([]);
    expect(await engine.run(runId)).toMatchObject({ status: 'waiting' });
    const { eventId } = await engine.emit('go', { n: 1 });
    const jobs = [await worker.take(), await worker.take()];
    expect(jobs.find(({ run_id }) => run_id === runId)?.completed_steps[0]?.output).toMatchObject({ id: eventId });
  });

  test('fails the run when its time is over', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    await worker.yielded(await worker.take(), waitYield(`${runId}:w:0`, 'never', undefined, '30ms'));
    const run = await engine.until(runId, 'failed');
    expect(run.error).toMatchObject({ code: 'WAIT_TIMEOUT' });
    expect(await worker.poll(1)).toEqual([]);
  });

  test.each([
    ['a timeout that is no duration', waitYield('w', 'news', undefined, '2 weeks'), 'VALIDATION_ERROR'],
    ['a match that is neither path nor expression', waitYield('w', 'news', 'data.a >'), 'VALIDATION_ERROR'],
  ])('with %s ends the run with the reason, and not over and over again', async (_what, wait, code) => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    await worker.yielded(await worker.take(), { ...wait, step_id: `${runId}:w:0` });
    const run = await engine.until(runId, 'failed');
    expect(run.error?.code).toBe(code);
    expect(run.error?.message).toMatch(/2 weeks|data\.a >/);
  });

  test('that is yielded again and again although it was met ends the run', async () => {
    const { engine, worker } = await openWithWorker({ retry: { maxAttempts: 1 } });
    const runId = await engine.start('go');
    const yielded = waitYield(`${runId}:w:0`, 'news');
    await worker.yielded(await worker.take(), yielded);
    await engine.emit('news');
    for (let executions = 0; (await engine.run(runId)).status !== 'failed'; executions++) {
      expect(executions).toBeLessThan(20);
      for (const job of await worker.poll(1)) await worker.yielded(job, yielded);
    }
    expect((await engine.run(runId)).error?.code).toBe('NON_DETERMINISTIC');
  });
});

describe('a yielded invoke', () => {
  async function openWithChild(child: Readonly<Record<string, unknown>> = {}) {
    const engine = await ContractEngine.open();
    const parent = await PublishedWorker.start(engine, [pullFunction('parent', 'go')]);
    const worker = await PublishedWorker.start(engine, [pullFunction('lib/child', undefined, child)]);
    return { engine, parent, child: worker };
  }

  test('runs the child with the input as its event’s data, and comes back with its output', async () => {
    const { engine, parent, child } = await openWithChild();
    const runId = await engine.start('go');
    await parent.yielded(await parent.take(), invokeYield(`${runId}:lib/child:0`, 'lib/child', { n: 2 }));
    const job = await child.take();
    expect(job).toMatchObject({ function_id: 'lib/child', attempt: 1, event: { data: { n: 2 } }, completed_steps: [] });
    expect(job.run_id).not.toBe(runId);
    expect(await engine.run(runId)).toMatchObject({ status: 'waiting' });
    await child.completed(job, { doubled: 4 });
    const resumed = await parent.take();
    expect(memoOf(resumed)).toEqual({ [`${runId}:lib/child:0`]: { doubled: 4 } });
    expect(await engine.run(job.run_id)).toMatchObject({
      status: 'completed',
      functionId: 'lib/child',
      input: { n: 2 },
    });
  });

  test('without an input gives the child null', async () => {
    const { engine, parent, child } = await openWithChild();
    const runId = await engine.start('go');
    await parent.yielded(await parent.take(), invokeYield(`${runId}:lib/child:0`, 'lib/child'));
    expect((await child.take()).event.data).toBeNull();
  });

  test('fails the parent, which cannot be told otherwise, when the child fails', async () => {
    const { engine, parent, child } = await openWithChild();
    const runId = await engine.start('go');
    await parent.yielded(await parent.take(), invokeYield(`${runId}:lib/child:0`, 'lib/child', {}));
    await child.failed(await child.take(), { message: 'out of stock', code: 'STEP_FAILED', retryable: false });
    const run = await engine.until(runId, 'failed');
    expect(run.error?.code).toBe('INVOKE_FAILED');
    expect(run.error?.message).toContain('out of stock');
  });

  test('retries the child by its own policy before that', async () => {
    const { engine, parent, child } = await openWithChild({ retry: { maxAttempts: 2, initialDelayMs: 1 } });
    const runId = await engine.start('go');
    await parent.yielded(await parent.take(), invokeYield(`${runId}:lib/child:0`, 'lib/child', {}));
    await child.failed(await child.take(), { message: 'once', code: 'ERROR', retryable: true });
    const again = await child.take();
    expect(again.attempt).toBe(2);
    await child.completed(again, 'at last');
    expect(Object.values(memoOf(await parent.take()))).toEqual(['at last']);
  });

  test('fails the parent when the child is cancelled, and when it takes longer than its timeout', async () => {
    const { engine, parent, child } = await openWithChild();
    const cancelled = await engine.start('go');
    await parent.yielded(await parent.take(), invokeYield(`${cancelled}:lib/child:0`, 'lib/child', {}));
    await engine.cancel((await child.take()).run_id);
    expect((await engine.until(cancelled, 'failed')).error?.code).toBe('INVOKE_FAILED');

    const late = await engine.start('go');
    await parent.yielded(await parent.take(), invokeYield(`${late}:lib/child:0`, 'lib/child', {}, 20));
    expect((await engine.until(late, 'failed')).error?.message).toMatch(/lib\/child.*timeout/);
  });

  test('of a function that is not registered fails the parent', async () => {
    const { engine, parent } = await openWithChild();
    const runId = await engine.start('go');
    expect((await parent.yielded(await parent.take(), invokeYield(`${runId}:x:0`, 'nobody', {}))).status).toBe(200);
    const run = await engine.until(runId, 'failed');
    expect(run.error?.code).toBe('FUNCTION_NOT_FOUND');
    expect(run.error?.message).toContain('nobody');
  });

  test('that is not waited for comes back at once with the child’s run id', async () => {
    const { engine, parent, child } = await openWithChild();
    const runId = await engine.start('go');
    await parent.yielded(await parent.take(), invokeAsyncYield(`${runId}:lib/child:0`, 'lib/child', { n: 1 }));
    const resumed = await parent.take();
    const job = await child.take();
    expect(memoOf(resumed)).toEqual({ [`${runId}:lib/child:0`]: { run_id: job.run_id } });
    await child.failed(job, { message: 'no', code: 'ERROR', retryable: false });
    expect((await parent.completed(resumed, 'done')).status).toBe(200);
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', output: 'done' });
  });
});

describe('several branches', () => {
  test('yield one after the other, each with the memo of those before', async () => {
    const { engine, worker } = await openWithWorker();
    await PublishedWorker.start(engine, [pullFunction('child', undefined)]);
    const runId = await engine.start('go');
    const branch = (i: number, name: string) => `${runId}:fan:${i}:${name}:0`;
    const until = soon(60);

    const first = await worker.take();
    await worker.progress(first, [{ ...step(runId, 'pick', 'p'), id: branch(2, 'pick') }]);
    await worker.yielded(first, waitYield(branch(1, 'paid'), 'paid'));
    await engine.emit('paid', { ok: true });

    const second = await worker.take();
    expect(Object.keys(memoOf(second)).sort()).toEqual([branch(1, 'paid'), branch(2, 'pick')]);
    await worker.yielded(second, sleepYield(branch(0, 'nap'), until));

    const third = await worker.take();
    expect(Object.keys(memoOf(third)).sort()).toEqual([branch(0, 'nap'), branch(1, 'paid'), branch(2, 'pick')]);
    await worker.yielded(third, invokeAsyncYield(branch(2, 'child'), 'child', {}));

    const fourth = await worker.take();
    expect(fourth.completed_steps).toHaveLength(4);
    await worker.completed(fourth, ['napped', 'paid', 'picked']);
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', attempt: 1 });
  });

  test('may be as many as there are, each taking a round trip', async () => {
    const { engine, worker } = await openWithWorker();
    const runId = await engine.start('go');
    for (let branch = 0; branch < 20; branch++) {
      const job = await worker.take();
      expect(job.completed_steps).toHaveLength(branch);
      await worker.yielded(job, sleepYield(`${runId}:fan:${branch}:nap:0`, soon(1)));
    }
    await worker.completed(await worker.take(), 'done');
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', attempt: 1 });
  });
});

describe('a worker that falls silent', () => {
  const quick = { contractLeaseMs: 400, pollMs: 20, reconnectMs: 50 };

  test('loses its job to another, which has the checkpointed steps; its late reports are refused', async () => {
    const { engine, worker: silent } = await openWithWorker({}, quick);
    const runId = await engine.start('go');
    const job = await silent.take();
    await silent.progress(job, [step(runId, 'a', 1)]);
    const other = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    const again = await other.take();
    expect(again).toMatchObject({ run_id: runId, attempt: 1 });
    expect(memoOf(again)).toEqual({ [`${runId}:a:0`]: 1 });
    expect(again.execution_seq).toBeGreaterThan(job.execution_seq ?? Number.POSITIVE_INFINITY);
    for (const late of [
      await silent.ack(job),
      await silent.progress(job, [step(runId, 'b', 'stale')], 1),
      await silent.yielded(job, sleepYield(`${runId}:nap:0`, soon())),
      await silent.completed(job, 'stale'),
    ]) {
      expect(late).toMatchObject({ status: 409, body: { code: 'STALE_EXECUTION' } });
    }
    await other.completed(again, 'fresh', [step(runId, 'b', 'fresh')], 0);
    expect(await engine.run(runId)).toMatchObject({ status: 'completed', output: 'fresh', attempt: 1 });
    expect((await engine.steps(runId)).map(({ output }) => output)).toEqual([1, 'fresh']);
  });

  test('and is the only one gets no job until it has registered again, as the contract’s 404 tells it', async () => {
    const { engine, worker } = await openWithWorker({}, quick);
    const runId = await engine.start('go');
    const job = await worker.take();
    await engine.until(runId, 'pending');
    await eventually(
      async () => (await engine.call('GET', `/api/v1/workers/${worker.id}/jobs?available=1`)).status,
      (status) => status === 404,
    );
    await worker.register();
    const again = await worker.take();
    expect(again.run_id).toBe(runId);
    expect(again.execution_seq).toBe((job.execution_seq ?? 0) + 1);
    expect((await worker.completed(again, 'done')).status).toBe(200);
  });

  test('keeps nothing by heartbeats that it never registered for', async () => {
    const engine = await ContractEngine.open();
    expect((await new PublishedWorker(engine, ['f']).heartbeat([])).status).toBe(404);
    expect((await engine.call('GET', '/api/v1/workers')).body).toEqual({ workers: [] });
  });

  test('in its polls keeps its job as long as it sends heartbeats or reports progress', async () => {
    const { engine, worker: beating } = await openWithWorker({}, { ...quick, contractLeaseMs: 1_000 });
    const reporting = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    await engine.start('go');
    const held = await beating.take();
    const runId = await engine.start('go');
    const job = await reporting.take();
    const until = Date.now() + 2_200;
    let n = 0;
    await eventually(
      async () => {
        expect((await beating.heartbeat([held])).status).toBe(200);
        expect((await reporting.progress(job, [step(runId, 's', n, n)], n++)).status).toBe(200);
        return Date.now();
      },
      (now) => now > until,
    );
    for (const [worker, mine] of [[beating, held] as const, [reporting, job] as const]) {
      expect((await worker.completed(mine, 'done')).status).toBe(200);
      expect(await engine.run(mine.run_id)).toMatchObject({ status: 'completed', attempt: 1 });
    }
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
