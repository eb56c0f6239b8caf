// How jobs come to a REST worker of the published SDK, and leave it, over real sockets (contract: 5).

import { describe, expect, test } from 'vitest';
import { eventually, inTime } from '../../test-support/eventually.ts';
import {
  type Assignment,
  ContractEngine,
  memoOf,
  PublishedWorker,
  pullFunction,
  sleepYield,
  step,
} from './published-sdk.ts';
import { openWithWorker, soon } from './rest-worker.ts';

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
