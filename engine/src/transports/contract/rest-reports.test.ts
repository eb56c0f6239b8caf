// What a REST worker of the published SDK tells of steps and of the end of a run, over real sockets (contract: 5, 8, 12).

import { describe, expect, test } from 'vitest';
import { failedStep, memoOf, type Step, sleepYield, step } from './published-sdk.ts';
import { openWithWorker, soon } from './rest-worker.ts';

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
