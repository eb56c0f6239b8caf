// What functions of the published SDK wait for, told by a REST worker, over real sockets (contract: 5, 8).

import { describe, expect, test } from 'vitest';
import {
  ContractEngine,
  invokeAsyncYield,
  invokeYield,
  memoOf,
  PublishedWorker,
  pullFunction,
  sleepYield,
  step,
  waitYield,
} from './published-sdk.ts';
import { openWithWorker, soon } from './rest-worker.ts';

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
