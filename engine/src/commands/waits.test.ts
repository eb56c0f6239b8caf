import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Store } from '../store/port.ts';
import { events, waits } from '../store/tables.ts';
import { FailingStore } from '../test-support/failing-store.ts';
import { env, openTestEngine, type TestEngine } from '../test-support/index.ts';

const HOUR = 3_600_000;

/** As after the death of an engine that stored an event and had not looked for its waits yet. */
class ForgetfulStore extends MemoryStore {
  override scan: Store['scan'] = (scan) => (scan.index === 'byEvent' ? Promise.resolve([]) : super.scan(scan));
}

const waiter = (options: { match?: string; timeout?: string } = {}) =>
  createFunction({ id: 'waiter', triggers: [{ event: 'ask' }] }, async ({ step }) => {
    const event = await step.waitForEvent('answer', { event: 'answer', ...options });
    return { name: event.name, data: event.data, isDate: event.timestamp instanceof Date };
  });

const status = async ({ engine }: TestEngine, runId: string | undefined) => engine.getRun(env, runId ?? '');

describe('waitForEvent', () => {
  test('resolves with the event that comes later', async () => {
    const harness = await openTestEngine();
    await harness.worker([waiter()]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(1_000);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.emit('answer', { ok: true });
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({
      status: 'completed',
      output: { name: 'answer', data: { ok: true }, isDate: true },
    });
  });

  test('of a run that was invoked, and of its rerun, compares with the event that its function is given', async () => {
    const harness = await openTestEngine();
    const child = createFunction({ id: 'child', triggers: [] }, async ({ event, step }) => {
      const match = 'event.data.by == trigger.source && event.data.version == trigger.version';
      const answer = await step.waitForEvent('answer', { event: 'answer', match, timeout: '1h' });
      return [event.source, answer.data.n];
    });
    const parent = createFunction({ id: 'parent', triggers: [{ event: 'ask' }] }, async ({ step }) =>
      step.invoke(child, {}, { timeout: '2h' }),
    );
    await harness.worker([parent, child]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.settle();
    await harness.emit('answer', { by: 'invoke', version: 1, n: 1 });
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: ['invoke', 1] });
    const { runs } = await harness.engine.listRuns(env, { functionId: 'child' });
    const again = await harness.engine.operations.rerun(env, runs[0]?.id ?? '');
    await harness.clock.settle();
    await harness.emit('answer', { by: 'invoke', version: 1, n: 2 });
    await harness.clock.settle();
    expect(await status(harness, again.id)).toMatchObject({ status: 'completed', output: ['invoke', 2] });
  });

  test('resolves with an event that came after the run was started and before it asked', async () => {
    const harness = await openTestEngine();
    const slow = createFunction({ id: 'slow', triggers: [{ event: 'ask' }] }, async ({ step }) => {
      await step.sleep('first', '1h');
      return (await step.waitForEvent('answer', { event: 'answer' })).data;
    });
    await harness.worker([slow]);
    await harness.emit('answer', 'before the run');
    const { runIds } = await harness.emit('ask');
    await harness.emit('answer', 'first');
    await harness.emit('answer', 'second');
    await harness.clock.advance(HOUR);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 'first' });
  });

  test('is met, when its time is over, by an event that came in time and was not looked for', async () => {
    const harness = await openTestEngine({ store: new ForgetfulStore() });
    await harness.worker([waiter({ timeout: '1h' })]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(HOUR / 2);
    await harness.emit('answer', 'in time');
    await harness.clock.advance(HOUR);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: { data: 'in time' } });
  });

  test('takes only the event whose value at the path equals that of the starting event', async () => {
    const harness = await openTestEngine();
    await harness.worker([waiter({ match: 'data.order.id' })]);
    const { runIds } = await harness.emit('ask', { order: { id: 7 } });
    await harness.emit('answer', { order: { id: '7' }, wrong: 'type' });
    await harness.emit('answer', { order: { id: 8 } });
    await harness.emit('answer', {});
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.emit('answer', { order: { id: 7 }, right: true });
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ output: { data: { order: { id: 7 }, right: true } } });
  });

  test('compares with a literal when match says so', async () => {
    const harness = await openTestEngine();
    await harness.worker([waiter({ match: `data.runId == "r'1"` })]);
    const { runIds } = await harness.emit('ask');
    await harness.emit('answer', { runId: 'r2' });
    await harness.emit('answer', { runId: "r'1" });
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ output: { data: { runId: "r'1" } } });
  });

  test('says what is wrong with a match that cannot be compared', async () => {
    const harness = await openTestEngine();
    await harness.worker([waiter({ match: 'data.missing' })]);
    const { runIds } = await harness.emit('ask', { other: 1 });
    await harness.clock.settle();
    const run = await status(harness, runIds[0]);
    expect(run).toMatchObject({ status: 'failed' });
    expect(run.error?.message).toContain('has no value there');
  });

  test('throws a typed error that can be caught when no event comes in time', async () => {
    const harness = await openTestEngine();
    const fn = createFunction({ id: 'f', triggers: [{ event: 'ask' }] }, async ({ step }) => {
      try {
        await step.waitForEvent('answer', { event: 'answer', timeout: '2h' });
        return 'answered';
      } catch (error) {
        await step.run('note', () => 'noted');
        return (error as Error).name;
      }
    });
    await harness.worker([fn]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(2 * HOUR - 1);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.clock.advance(1);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 'WaitTimeoutError' });
    await harness.emit('answer', 'too late');
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ output: 'WaitTimeoutError' });
  });

  test('is met once: the first of two events, for every run that waits for it', async () => {
    const harness = await openTestEngine();
    await harness.worker([waiter()]);
    const runIds: string[] = [];
    for (let i = 0; i < 30; i++) runIds.push(...(await harness.emit('ask')).runIds);
    await harness.clock.settle();
    await Promise.all([harness.emit('answer', 'first'), harness.emit('answer', 'second')]);
    await harness.clock.settle();
    for (const runId of runIds) expect(await status(harness, runId)).toMatchObject({ output: { data: 'first' } });
  });

  test('finds its event among many waits by an index, not by trying', async () => {
    const harness = await openTestEngine();
    await harness.worker([waiter({ match: 'data.id' })]);
    const runIds: string[] = [];
    for (let id = 0; id < 200; id++) runIds.push(...(await harness.emit('ask', { id })).runIds);
    await harness.clock.settle();
    const before = harness.engine.stats.commands;
    await harness.emit('answer', { id: 123 });
    await harness.clock.settle();
    expect(await status(harness, runIds[123])).toMatchObject({ status: 'completed' });
    // The emit, the wait that is met, and the job of its run: nothing that grows with the other 199.
    expect(harness.engine.stats.commands - before).toBeLessThan(8);
  });
});

describe('several waits at once', () => {
  test('are independent: each branch goes on when its own wait is met', async () => {
    const harness = await openTestEngine();
    const seen: string[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'ask' }] }, async ({ step }) =>
      step.parallel('all', [
        async (s) => {
          await s.sleep('short', '1h');
          return s.run('after-short', () => seen.push(`short at ${harness.clock.now() - startedAt}`));
        },
        async (s) => {
          await s.sleep('long', '3h');
          return s.run('after-long', () => seen.push(`long at ${harness.clock.now() - startedAt}`));
        },
        async (s) => {
          await s.waitForEvent('event', { event: 'answer' });
          return s.run('after-event', () => seen.push(`event at ${harness.clock.now() - startedAt}`));
        },
      ]),
    );
    await harness.worker([fn]);
    const startedAt = harness.clock.now();
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(2 * HOUR);
    await harness.emit('answer');
    await harness.clock.advance(2 * HOUR);
    expect(seen).toEqual([`short at ${HOUR}`, `event at ${2 * HOUR}`, `long at ${3 * HOUR}`]);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: [1, 3, 2] });
  });

  test('count from when they are begun, also while another branch is busy', async () => {
    const harness = await openTestEngine();
    const seen: string[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'ask' }] }, async ({ step }) =>
      step.parallel('all', [
        async (s) => s.run('busy', () => new Promise<void>((resolve) => harness.clock.setTimer(10 * HOUR, resolve))),
        async (s) => {
          await s.sleep('short', '1h');
          await s.run('after', () => void seen.push(`after ${harness.clock.now() - startedAt}`));
        },
      ]),
    );
    await harness.worker([fn], {});
    const startedAt = harness.clock.now();
    await harness.emit('ask');
    await harness.clock.advance(2 * HOUR);
    expect(seen).toEqual([]); // 2 hours are beyond the function's timeout of 10 minutes: it was stopped
    expect((await harness.engine.listRuns(env, {})).runs[0]).toMatchObject({ attempt: 3 });
  });

  test('a branch goes on in place while another one is still at work', async () => {
    const harness = await openTestEngine();
    const seen: string[] = [];
    const fn = createFunction({ id: 'f', triggers: [{ event: 'ask' }], timeout: 20 * HOUR }, async ({ step }) =>
      step.parallel('all', [
        async (s) =>
          s.run(
            'busy',
            () => new Promise<string>((resolve) => harness.clock.setTimer(10 * HOUR, () => resolve('done'))),
          ),
        async (s) => {
          await s.sleep('short', '1h');
          return s.run('after', () => seen.push(`after ${harness.clock.now() - startedAt}`));
        },
      ]),
    );
    await harness.worker([fn]);
    const startedAt = harness.clock.now();
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(2 * HOUR);
    expect(seen).toEqual([`after ${HOUR}`]);
    await harness.clock.advance(9 * HOUR);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: ['done', 1] });
  });
});

describe('invoke', () => {
  const child = createFunction({ id: 'child', triggers: [], retry: { maxAttempts: 1 } }, async ({ event, step }) => {
    if (event.data.fail) throw new Error('the child is unwell');
    if (event.data.sleep) await step.sleep('nap', event.data.sleep);
    return step.run('double', () => event.data.n * 2);
  });
  const parentOf = (input: unknown, timeout?: string) =>
    createFunction({ id: 'parent', triggers: [{ event: 'ask' }] }, async ({ step }) => {
      try {
        return await step.invoke('child', input, timeout === undefined ? {} : { timeout });
      } catch (error) {
        const { name, code, message } = error as Error & { code: string };
        return { name, code, message };
      }
    });

  test('runs the other function as a run of its own and returns what it returns', async () => {
    const harness = await openTestEngine();
    await harness.worker([child, parentOf({ n: 21, sleep: '5h' }, '1d')]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(6 * HOUR);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 42 });
    const [step] = await harness.engine.getSteps(env, runIds[0] ?? '');
    expect(await status(harness, step?.childRunId)).toMatchObject({
      functionId: 'child',
      parentRunId: runIds[0],
      input: { n: 21, sleep: '5h' },
    });
  });

  test('throws InvokeError with what the child said when it fails', async () => {
    const harness = await openTestEngine();
    await harness.worker([child, parentOf({ fail: true })]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(1_000);
    expect(await status(harness, runIds[0])).toMatchObject({
      output: { name: 'InvokeError', code: 'INVOKE_FAILED', message: expect.stringContaining('the child is unwell') },
    });
  });

  test('throws InvokeTimeoutError after 30 seconds when not told otherwise; the child goes on', async () => {
    const harness = await openTestEngine();
    await harness.worker([child, parentOf({ n: 1, sleep: '1m' })]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.advance(29_999);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'waiting' });
    await harness.clock.advance(1);
    expect(await status(harness, runIds[0])).toMatchObject({ output: { name: 'InvokeTimeoutError' } });
    await harness.clock.advance(60_000);
    const { runs } = await harness.engine.listRuns(env, { functionId: 'child' });
    expect(runs[0]).toMatchObject({ status: 'completed', output: 2 });
  });

  test('fails the step when there is no such function', async () => {
    const harness = await openTestEngine();
    const parent = createFunction({ id: 'parent', triggers: [{ event: 'ask' }] }, async ({ step }) =>
      step.invoke('nobody').catch((error: Error) => error.message),
    );
    await harness.worker([parent]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({
      output: expect.stringContaining('"nobody" is not registered'),
    });
  });

  test('a child that is cancelled fails the call', async () => {
    const harness = await openTestEngine();
    await harness.worker([child, parentOf({ n: 1, sleep: '1h' }, '1d')]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.settle();
    const { runs } = await harness.engine.listRuns(env, { functionId: 'child' });
    await harness.engine.operations.cancel(env, runs[0]?.id ?? '', { reason: 'enough' });
    await harness.clock.settle();
    expect(await status(harness, runIds[0])).toMatchObject({ output: { message: expect.stringContaining('enough') } });
  });

  test('invokeAsync goes on at once with the id of the run it started', async () => {
    const harness = await openTestEngine();
    const parent = createFunction({ id: 'parent', triggers: [{ event: 'ask' }] }, async ({ step }) =>
      step.invokeAsync('child', { n: 5, sleep: '1h' }),
    );
    await harness.worker([child, parent]);
    const { runIds } = await harness.emit('ask');
    await harness.clock.settle();
    const { output } = await status(harness, runIds[0]);
    const { runId } = output as { runId: string };
    expect(await status(harness, runId)).toMatchObject({ status: 'waiting', functionId: 'child' });
    await harness.clock.advance(HOUR);
    expect(await status(harness, runId)).toMatchObject({ status: 'completed', output: 10 });
  });
});

describe('a wait that is told again', () => {
  test('does not begin a second time when its time has come meanwhile', async () => {
    const harness = await openTestEngine();
    const { clock } = harness;
    const sleeper = createFunction({ id: 'sleeper', triggers: [{ event: 'go' }] }, async ({ step }) => {
      await step.sleep('nap', '1s');
      await step.sleep('night', '1h');
      return 'awake';
    });
    await harness.worker([sleeper], {
      // The answer to the first report is lost; the second arrives at the very instant at which the sleep is over.
      async between(report, send) {
        if (report.waits[0]?.name !== 'nap') return send(report);
        const again = new Promise<void>((resolve) => clock.setTimer(1_000, resolve));
        await send(report);
        await again;
        return send(report);
      },
    });
    const { runIds } = await harness.emit('go');
    await clock.advance(10_000);
    const open = await harness.store.scan({ table: waits, limit: 10 });
    expect(open.map(({ row }) => row.name)).toEqual(['night']);
    await clock.advance(HOUR);
    expect(await status(harness, runIds[0])).toMatchObject({ status: 'completed', output: 'awake' });
  });
});

test('a wait that could not be begun because the store was away has not failed', async () => {
  const store = new FailingStore();
  const harness = await openTestEngine({ store });
  const retry = { maxAttempts: 2, initialDelayMs: 1_000, backoffFactor: 1 } as const;
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }], retry }, async ({ step }) => {
    return (await step.waitForEvent('answer', { event: 'answer', match: 'data.id', timeout: '1h' })).data;
  });
  await harness.worker([fn], {
    between: (report, send) => {
      if (report.waits.length > 0 && report.fence === 1) store.failScan(events);
      return send(report);
    },
  });
  const { runIds } = await harness.emit('go', { id: 1 });
  await harness.clock.advance(2_000);
  await harness.emit('answer', { id: 1 });
  await harness.clock.settle();
  expect(await harness.engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed', output: { id: 1 } });
});
