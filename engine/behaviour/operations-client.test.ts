// Operations on runs through the client: filters, bulk operations, audit trails, and what is refused.

import { describe, expect, onTestFinished, test } from 'vitest';
import { createClient, createFunction, createWorker, type IronflowClient, NonRetryableError } from '../../src/index.ts';
import { createEngine } from '../src/main.ts';
import { eventually } from '../src/test-support/eventually.ts';
import { Workers } from './transports.ts';

async function open(options: Parameters<typeof createEngine>[0] = {}) {
  const engine = await createEngine({ store: 'memory', ...options });
  const { url } = await engine.listen({ port: 0 });
  const workers = new Workers((functions) => createWorker({ functions, engine, logger: false }));
  onTestFinished(async () => {
    await workers.stop();
    await engine.close();
  });
  return { engine, url, workers, client: createClient({ serverUrl: url }) };
}

const sleeper = createFunction({ id: 'sleeper', triggers: [{ event: 'sleep' }] }, async ({ step }) =>
  step.sleep('nap', '1h'),
);
let broken = true;
const failing = createFunction({ id: 'failing', triggers: [{ event: 'fail' }] }, async ({ step }) =>
  step.run('charge', () => {
    if (broken) throw new NonRetryableError('broken');
    return 'charged';
  }),
);

async function all(client: IronflowClient, eventName: string, status: string, count: number): Promise<string[]> {
  const { runs } = await eventually(
    () => client.listRuns({ eventName, status }),
    (page) => page.runs.length === count,
  );
  return runs.map(({ id }) => id);
}

describe('a listing', () => {
  test('is by function, status, time, event and its name, all of them together, with a total and a cursor', async () => {
    const { client, workers } = await open();
    broken = true;
    await workers.provide([sleeper, failing]);
    const before = new Date();
    const emitted = [];
    for (let i = 0; i < 5; i++) emitted.push(await client.emit('sleep', { i }));
    await client.emit('fail');
    await all(client, 'sleep', 'waiting', 5);
    const count = async (filter: Parameters<IronflowClient['listRuns']>[0]) =>
      (await client.listRuns(filter)).totalCount;
    expect(await count({})).toBe(6);
    expect(await count({ eventName: 'sleep' })).toBe(5);
    expect(await count({ eventName: 'sleep', functionId: 'failing' })).toBe(0);
    expect(await count({ functionId: 'sleeper', status: 'waiting', since: before })).toBe(5);
    expect(await count({ until: before.getTime() - 1 })).toBe(0);
    expect(await count({ since: Date.now() + 60_000 })).toBe(0);
    expect(await client.listRuns({ eventId: emitted[2]?.eventId })).toMatchObject({
      totalCount: 1,
      runs: [{ id: emitted[2]?.runIds[0] }],
    });
    const rerun = await client.rerunRun(emitted[2]?.runIds[0] ?? '');
    expect((await client.listRuns({ eventId: emitted[2]?.eventId })).runs.map(({ id }) => id)).toEqual([
      rerun.id,
      emitted[2]?.runIds[0],
    ]);
    const pages: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await client.listRuns({ eventName: 'sleep', since: before, limit: 2, cursor });
      pages.push(...page.runs.map(({ id }) => id));
      expect(page.totalCount).toBe(6);
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    expect(pages).toEqual([...pages].sort().reverse());
    expect(new Set(pages).size).toBe(6);
    await expect(client.listRuns({ since: 'yesterday' })).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
    await expect(client.listRuns({ since: new Date('x') })).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
  });
});

describe('a bulk operation', () => {
  test('pauses, resumes and cancels what the filter fits, with progress, and leaves the rest alone', async () => {
    const { client, workers } = await open();
    await workers.provide([sleeper]);
    const first = (await client.emit('sleep', {})).runIds[0] ?? '';
    const since = Date.now() + 1;
    while (Date.now() < since) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 9; i++) await client.emit('sleep', { i });
    await all(client, 'sleep', 'waiting', 10);
    const seen: string[] = [];
    const onProgress = ({ done, totalCount }: { done: number; totalCount: number }) =>
      seen.push(`${done}/${totalCount}`);
    const filter = { functionId: 'sleeper', since };
    expect(await client.bulkRuns('pause', filter, { onProgress, pageSize: 4, reason: 'stop' })).toMatchObject({
      done: 9,
      refused: 0,
      totalCount: 9,
    });
    expect(seen.at(0)).toBe('0/9'); // none is queued
    expect(seen).toContain('4/9');
    expect((await all(client, 'sleep', 'paused', 9)).includes(first)).toBe(false);
    expect(await client.bulkRuns('resume', filter)).toMatchObject({ done: 9, totalCount: 9 });
    await all(client, 'sleep', 'waiting', 10);
    expect(await client.bulkRuns('cancel', filter, { reason: 'enough' })).toMatchObject({ done: 9, refused: 0 });
    expect(await client.getRun(first)).toMatchObject({ status: 'waiting' });
    const { entries } = await client.getAuditTrail(undefined, { eventType: 'run.cancelled' });
    expect(entries).toHaveLength(9);
    expect(entries[0]).toMatchObject({ reason: 'enough', actor: 'anonymous' });
  });

  test('of an attribute is refused where the attribute has no value, and touches nothing', async () => {
    const { client, workers } = await open();
    await workers.provide([sleeper]);
    const { runIds } = await client.emit('sleep');
    for (const orderId of [undefined, '', null, {}])
      await expect(client.bulkRuns('cancel', { attributes: { orderId: orderId as never } })).rejects.toMatchObject({
        code: 'VALIDATION_ERROR',
      });
    expect((await client.getRun(runIds[0] ?? '')).status).not.toBe('cancelled');
  });

  test('retries what failed, and tells what it was refused', async () => {
    const { client, workers } = await open();
    broken = true;
    await workers.provide([failing]);
    for (let i = 0; i < 3; i++) await client.emit('fail');
    await all(client, 'fail', 'failed', 3);
    broken = false;
    const nobodys = client.bulkRuns('retry', { functionId: undefined });
    await expect(nobodys).rejects.toMatchObject({
      code: 'VALIDATION_ERROR',
      message: expect.stringContaining('functionId'),
    });
    expect(await client.bulkRuns('retry', { functionId: 'failing' })).toMatchObject({ done: 3, refused: 0 });
    await all(client, 'fail', 'completed', 3);
    const refused = await client.bulkRuns('retry', { functionId: 'failing', status: 'completed' });
    expect(refused).toMatchObject({ done: 0, refused: 3, refusals: [{ code: 'RUN_STATE' }, {}, {}] });
  });
});

describe('a run that is asked for whole', () => {
  test('has its steps, attempts and waits, and says why it has not ended', async () => {
    const { client, workers } = await open();
    const fn = createFunction({ id: 'whole', triggers: [{ event: 'whole' }] }, async ({ step }) => {
      await step.run('one', () => 1);
      return Promise.all([
        step.sleep('nap', '2h'),
        step.waitForEvent('for', { event: 'answer', match: 'data.key', timeout: '1h' }),
      ]);
    });
    const { runIds } = await client.emit('whole', { key: 'k' });
    expect(runIds).toEqual([]);
    await workers.provide([fn]);
    const runId = (await client.emit('whole', { key: 'k' })).runIds[0] ?? '';
    await all(client, 'whole', 'waiting', 1);
    const run = await client.getRun(runId, { steps: true });
    expect(run.why).toMatch(
      /^It waits for event "answer" with data.key = "k" until .*Z \(step "for"\), and sleeps until .*Z \(step "nap"\)\.$/,
    );
    expect(run.steps.map(({ name, status }) => [name, status])).toEqual([
      ['one', 'completed'],
      ['nap', 'sleeping'],
      ['for', 'waiting'],
    ]);
    expect(run.waits).toMatchObject([
      { kind: 'event', event: 'answer', match: { path: 'data.key', value: 'k' } },
      { kind: 'sleep', name: 'nap' },
    ]);
    expect(run.attempts).toEqual([]);
  });

  test('tells the whole expression of a wait that has one, and each of several events', async () => {
    const { client, workers } = await open();
    const match = 'data.key == trigger.data.key && data.amount > 100.0';
    const fn = createFunction({ id: 'matches', triggers: [{ event: 'matches' }] }, async ({ step }) =>
      Promise.all([
        step.waitForEvent('large', { event: 'payment', match, timeout: '1h' }),
        step.waitForAny('end', { paid: { event: 'paid', match: 'data.key' }, gone: { event: 'gone' }, timeout: '2h' }),
      ]),
    );
    await workers.provide([fn]);
    const { runIds } = await client.emit('matches', { key: 'k' });
    await all(client, 'matches', 'waiting', 1);
    const { why, waits } = await client.getRun(runIds[0] ?? '', { steps: true });
    expect(why).toMatch(`waits for event "payment" with data.key == trigger.data.key && data.amount > 100.0 until`);
    expect(why).toMatch('takes event "paid" with data.key = "k" as "paid"');
    expect(waits.map(({ kind, event, match }) => ({ kind, event, match }))).toEqual([
      { kind: 'event', event: 'payment', match: { expression: match } },
      { kind: 'any', event: undefined, match: undefined },
      { kind: 'alternative', event: 'paid', match: { path: 'data.key', value: 'k' } },
      { kind: 'alternative', event: 'gone', match: undefined },
    ]);
  });

  test('says that no worker has its function, when none has', async () => {
    const { client, engine } = await open();
    const fn = createFunction({ id: 'orphan', triggers: [{ event: 'orphan' }] }, async () => 1);
    const worker = createWorker({ functions: [fn], engine, logger: false });
    const working = worker.start();
    await worker.ready;
    await worker.stop();
    await working;
    const { runIds } = await client.emit('orphan');
    expect((await client.getRun(runIds[0] ?? '')).why).toMatch(
      /^It is ready since .*; no worker has function "orphan"\.$/,
    );
  });
});

describe('what is refused', () => {
  test('an id that is empty, before it is sent', async () => {
    const client = createClient({ serverUrl: 'http://localhost:1' });
    const calls = [
      () => client.getRun(''),
      () => client.getRun('', { steps: true }),
      () => client.getRunSteps(''),
      () => client.waitForRun(''),
      () => client.cancelRun(''),
      () => client.pauseRun(''),
      () => client.resumeRun(''),
      () => client.retryRun(''),
      () => client.rerunRun(''),
      () => client.patchStep('', 1),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ name: 'ValidationError' });
  });

  test('what a run’s status forbids, with its own class', async () => {
    const { client, workers } = await open();
    broken = false;
    await workers.provide([failing]);
    const { runId } = await client.emitSync('fail');
    for (const call of [() => client.retryRun(runId), () => client.resumeRun(runId), () => client.pauseRun(runId)]) {
      await expect(call()).rejects.toMatchObject({ name: 'RunStateError', code: 'RUN_STATE', runId });
    }
    await expect(client.patchStep(`${runId}:charge:0`, 1)).rejects.toMatchObject({ code: 'RUN_STATE' });
    await expect(client.patchStep(`${runId}:nothing:0`, 1)).rejects.toMatchObject({
      name: 'StepNotFoundError',
      message: expect.stringContaining('nothing'),
    });
    await expect(client.pauseRun('run_nope')).rejects.toMatchObject({ name: 'RunNotFoundError' });
  });
});

describe('an audit trail', () => {
  test('names the key that was used, and is another environment’s to read only there', async () => {
    const { engine, url, workers } = await open({ apiKeys: ['one', 'two'] });
    const [one, two] = ['one', 'two'].map((apiKey) => createClient({ serverUrl: url, apiKey }));
    if (one === undefined || two === undefined) throw new Error('two clients');
    await workers.provide([sleeper]);
    const runId = (await one.emit('sleep')).runIds[0] ?? '';
    await one.pauseRun(runId, 'first');
    await two.resumeRun(runId, undefined, 'second');
    await createClient({ engine }).cancelRun(runId, 'third');
    const { entries, totalCount } = await one.getAuditTrail(runId);
    expect(totalCount).toBe(3);
    expect(entries.map(({ eventType, reason }) => [eventType, reason])).toEqual([
      ['run.paused', 'first'],
      ['run.resumed', 'second'],
      ['run.cancelled', 'third'],
    ]);
    const actors = entries.map(({ actor }) => actor);
    expect(actors).toEqual([expect.stringMatching(/^key [0-9a-f]{12}$/), expect.stringMatching(/^key/), 'in-process']);
    expect(actors[0]).not.toBe(actors[1]);
    const page = await one.getAuditTrail(runId, { limit: 1 });
    expect(page).toMatchObject({ totalCount: 3, entries: [{ reason: 'first' }] });
    expect(await one.getAuditTrail(runId, { cursor: page.nextCursor })).toMatchObject({ entries: [{}, {}] });
    const elsewhere = createClient({ serverUrl: url, apiKey: 'one', environment: 'other' });
    expect(await elsewhere.getAuditTrail(runId)).toMatchObject({ entries: [], totalCount: 0 });
  });
});
