// What a recorded function leaves in its audit trail, and how long that stays.

import { describe, expect, test } from 'vitest';
import { createFunction, type FunctionConfig, type IronflowFunction } from '../../../src/function/index.ts';
import { NonRetryableError } from '../../../src/index.ts';
import type { StepClient } from '../../../src/step/index.ts';
import { examineAll } from '../doctor/index.ts';
import { createEngine } from '../main.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { WriteSet } from '../store/port.ts';
import { runAudit } from '../store/tables.ts';
import { env, openTestEngine, type TestEngine, temporaryDirectory } from '../test-support/index.ts';

const DAY = 86_400_000;
const retry = { maxAttempts: 2, initialDelayMs: 1_000, backoffFactor: 1 } as const;

function recorded(
  handler: (step: StepClient, attempt: number) => unknown,
  config: Partial<FunctionConfig> = {},
): IronflowFunction {
  return createFunction(
    { id: 'f', triggers: [{ event: 'go' }], retry, recording: true, recordingRetention: '30d', ...config },
    ({ step, run }) => handler(step, run.attempt),
  );
}

async function started(harness: TestEngine): Promise<string> {
  const { runIds } = await harness.emit('go');
  await harness.clock.settle();
  return runIds[0] ?? '';
}

const entriesOf = async ({ engine }: Pick<TestEngine, 'engine'>, runId: string) =>
  (await engine.listAudit(env, { runId, limit: 1_000 })).entries;

/** What happened, and to which step, in the order of the trail. */
async function trail(harness: TestEngine, runId: string): Promise<string[]> {
  return (await entriesOf(harness, runId)).map(({ eventType, payload, actor }) => {
    const name = (payload as { name?: string } | undefined)?.name;
    return [eventType, ...(name === undefined ? [] : [name]), ...(actor === undefined ? [] : [`by ${actor}`])].join(
      ' ',
    );
  });
}

describe('a recorded run', () => {
  test('has an entry for its start, each step, each wait and its end', async () => {
    const harness = await openTestEngine();
    await harness.worker([
      recorded(async (step) => {
        await step.run('pay', () => 1);
        await step.sleep('nap', '1h');
        await step.waitForEvent('paid', { event: 'paid', timeout: '1h' });
        await step.waitForEvent('late', { event: 'never', timeout: 1_000 }).catch(() => {});
        await step.publish('topic', {});
        return 'done';
      }),
    ]);
    const runId = await started(harness);
    await harness.clock.advance(3_600_000);
    await harness.emit('paid');
    await harness.clock.advance(2_000);
    expect(await trail(harness, runId)).toEqual([
      'run.started',
      'step.completed pay',
      'step.waiting nap',
      'step.completed nap',
      'step.waiting paid',
      'step.completed paid',
      'step.waiting late',
      'step.timed_out late',
      'step.completed publish:topic',
      'run.completed',
    ]);
    const [start, pay, nap] = await entriesOf(harness, runId);
    expect(start?.payload).toEqual({ eventId: expect.any(String), eventName: 'go', functionVersion: 1 });
    expect(pay).toMatchObject({ stepId: `${runId}:pay:0`, functionId: 'f' });
    expect(pay?.payload).toEqual({
      ...{ name: 'pay', kind: 'run', attempt: 1, worker: 'test-worker-1' },
      ...{ startedAt: expect.any(String), endedAt: expect.any(String) },
    });
    expect(nap?.payload).toMatchObject({ kind: 'sleep', until: expect.stringMatching(/Z$/) });
    const [timedOut] = (await harness.engine.listAudit(env, { runId, eventType: 'step.timed_out' })).entries;
    expect(timedOut?.payload).toMatchObject({ error: { code: 'WAIT_TIMEOUT' } });
    expect(await examineAll(harness)).toEqual([]);
  });

  test('has failed attempts with their error and when the next one comes, and the failure of the run', async () => {
    const harness = await openTestEngine();
    await harness.worker([
      recorded(async (step) => {
        await step.run('flaky', ({ attempt }) => {
          if (attempt === 1) throw new Error('once');
        });
        throw new Error('the handler');
      }),
    ]);
    const runId = await started(harness);
    await harness.clock.advance(60_000);
    expect(await trail(harness, runId)).toEqual([
      'run.started',
      'step.attempt_failed flaky',
      'step.completed flaky',
      'run.attempt_failed',
      'run.failed',
    ]);
    const [, flaky, again, whole, failed] = await entriesOf(harness, runId);
    expect(flaky?.payload).toMatchObject({
      ...{ attempt: 1, error: { message: 'once' }, nextAttempt: 2 },
      nextAttemptAt: new Date(Date.parse(flaky?.createdAt ?? '') + 1_000).toISOString(),
    });
    expect(again?.payload).toMatchObject({ attempt: 2 });
    expect(whole?.payload).toMatchObject({ error: { message: 'the handler' }, nextAttempt: 2 });
    expect(failed?.payload).toMatchObject({ error: { message: 'the handler' } });
  });

  test('has its compensations, in their order, and its end after them', async () => {
    const harness = await openTestEngine();
    await harness.worker([
      recorded(async (step) => {
        for (const name of ['a', 'b']) {
          await step.run(name, () => 1);
          step.compensate(name, () => {});
        }
        await step.run('c', () => Promise.reject(new NonRetryableError('no')));
      }),
    ]);
    const runId = await started(harness);
    await harness.clock.advance(60_000);
    expect(await trail(harness, runId)).toEqual([
      'run.started',
      'step.completed a',
      'step.completed b',
      'step.failed c',
      'run.compensating',
      'step.completed compensate:b',
      'step.completed compensate:a',
      'run.failed',
    ]);
  });

  test('that is cancelled has who did it, and when it had been undone', async () => {
    const harness = await openTestEngine();
    await harness.worker([
      recorded(async (step) => {
        await step.run('a', () => 1);
        step.compensate('a', () => {});
        await step.sleep('nap', '1h');
      }),
    ]);
    const runId = await started(harness);
    const asked = { actor: 'ada', reason: 'a mistake', compensate: true };
    await harness.engine.operations.cancel(env, runId, asked);
    await harness.clock.advance(60_000);
    expect((await trail(harness, runId)).slice(3)).toEqual([
      'run.cancelled by ada',
      'run.compensating',
      'step.completed compensate:a',
      'run.stopped',
    ]);
  });

  test('has the lease that was lost, the start of what must not run twice, and who decided', async () => {
    const harness = await openTestEngine();
    const once = recorded(async (step) => step.run('transfer', () => new Promise(() => {}), { effect: 'once' }));
    const worker = await harness.worker([once]);
    const runId = await started(harness);
    worker.crash();
    await worker.line.close();
    await harness.clock.advance(3_600_000);
    await harness.worker([once]);
    await harness.clock.settle();
    const [step] = await harness.engine.getSteps(env, runId);
    const asked = { actor: 'ada', reason: 'the bank says so' };
    await harness.engine.decideStep(env, runId, step?.id ?? '', { kind: 'output', output: '1' as never }, asked);
    await harness.clock.settle();
    expect(await trail(harness, runId)).toEqual([
      'run.started',
      'step.started transfer',
      'run.lease_lost',
      'step.undecided transfer',
      'step.decided by ada',
      'step.completed transfer',
      'run.completed',
    ]);
    expect((await entriesOf(harness, runId))[4]).toMatchObject({ reason: 'the bank says so', payload: { output: 1 } });
  });

  test('that is restarted has one entry for that, and none for what was forgotten', async () => {
    const harness = await openTestEngine();
    let fails = true;
    await harness.worker([
      recorded(async (step) => {
        await step.run('a', () => 1);
        await step.run('b', () => {
          if (fails) throw new NonRetryableError('no');
        });
      }),
    ]);
    const runId = await started(harness);
    fails = false;
    await harness.engine.operations.retry(env, runId, { fromStep: 'a', actor: 'ada' });
    await harness.clock.settle();
    expect(await trail(harness, runId)).toEqual([
      'run.started',
      'step.completed a',
      'step.failed b',
      'run.failed',
      'run.restarted by ada',
      'step.completed a',
      'step.completed b',
      'run.completed',
    ]);
  });

  test('has each entry in the commit that made it true', async () => {
    const writeSets: WriteSet[] = [];
    const store = new MemoryStore();
    const commit = store.commit.bind(store);
    store.commit = (given) => {
      writeSets.push(...given);
      return commit(given);
    };
    const harness = await openTestEngine({ store });
    await harness.worker([
      recorded(async (step) => {
        await step.run('a', () => 1);
        await step.sleep('nap', 1_000);
      }),
    ]);
    await started(harness);
    await harness.clock.advance(2_000);
    const together = writeSets.flatMap(({ puts }) => {
      const names = puts.map(({ table, row }) => (table === runAudit ? String(row['type']) : table.name));
      return names.some((name) => name.includes('.')) ? [[...new Set(names)].sort().join(' ')] : [];
    });
    expect(together).toEqual([
      'run.started runs',
      'step.completed steps',
      'runs step.waiting waits',
      'runs step.completed steps',
      'run.completed runs',
    ]);
  });
});

describe('retention', () => {
  const sleepy = (config: Partial<FunctionConfig> = {}) => recorded(async (step) => step.run('a', () => 1), config);
  const rowsOf = async ({ store }: TestEngine) =>
    (await store.scan({ table: runAudit, limit: 100 })).map(({ row }) => row);

  test.each([
    ['7d', 7],
    ['30d', 30],
    [undefined, 90],
  ])('of %s: the entries leave then, one by one, and the run stays', async (recordingRetention, days) => {
    const harness = await openTestEngine();
    await harness.worker([sleepy({ recordingRetention })]);
    const runId = await started(harness);
    await harness.clock.advance(days * DAY - 60_000);
    await harness.engine.operations.rerun(env, runId);
    await harness.clock.settle();
    expect(await trail(harness, runId)).toHaveLength(4);
    await harness.clock.advance(120_000);
    expect(await trail(harness, runId)).toEqual(['run.rerun by in-process']);
    await harness.clock.advance(days * DAY);
    expect(await rowsOf(harness)).toEqual([]);
    expect(await harness.engine.getRun(env, runId)).toMatchObject({ status: 'completed' });
    expect(await examineAll(harness)).toEqual([]);
  });

  test('is counted by the entry, whatever becomes of the run: its trail outlives it, operators’ entries too', async () => {
    const harness = await openTestEngine({ settings: { runRetentionMs: DAY } });
    await harness.worker([sleepy({ recordingRetention: '7y' })]);
    const runId = await started(harness);
    await harness.engine.operations.rerun(env, runId, { actor: 'ada' });
    await harness.clock.advance(3 * DAY);
    await expect(harness.engine.getRun(env, runId)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    const kept = ['run.started', 'step.completed a', 'run.completed', 'run.rerun by ada'];
    expect(await trail(harness, runId)).toEqual(kept);
    expect(await examineAll(harness)).toEqual([]);
    await harness.clock.advance(7 * 365 * DAY);
    expect(await trail(harness, runId)).toEqual(kept);
    await harness.clock.advance(7 * DAY);
    expect(await rowsOf(harness)).toEqual([]);
  });

  test('for ever: the entries stay when the run has left', async () => {
    const harness = await openTestEngine({ settings: { runRetentionMs: DAY } });
    await harness.worker([sleepy({ recordingRetention: 'forever' })]);
    const runId = await started(harness);
    await harness.clock.advance(5_000 * DAY);
    expect(await trail(harness, runId)).toHaveLength(3);
    expect(await examineAll(harness)).toEqual([]);
  });

  test('of a function that is not recorded: operators’ entries leave with the run', async () => {
    const harness = await openTestEngine({ settings: { runRetentionMs: DAY } });
    await harness.worker([sleepy({ recording: false })]);
    const runId = await started(harness);
    await harness.engine.operations.rerun(env, runId);
    expect(await trail(harness, runId)).toEqual(['run.rerun by in-process']);
    await harness.clock.advance(3 * DAY);
    expect(await rowsOf(harness)).toEqual([]);
  });
});

test('a function that is not recorded costs no entry, and no read', async () => {
  const harness = await openTestEngine();
  await harness.worker([recorded(async (step) => step.run('a', () => 1), { recording: undefined })]);
  await started(harness);
  const { reads } = harness.engine.stats;
  await started(harness);
  expect(harness.engine.stats.reads).toBe(reads);
  expect(await harness.store.scan({ table: runAudit, limit: 1 })).toEqual([]);
});

test('the trail of a recorded function is on SQLite as well, also when the engine was started anew', async () => {
  const directory = temporaryDirectory();
  const fn = recorded(async (step) => {
    await step.run('a', () => 1);
    await step.waitForEvent('w', { event: 'more', timeout: '1h' });
  });
  let runId = '';
  for (const name of ['go', 'more']) {
    const { engine, worker } = await embedded(directory.path, fn);
    const answer = await engine.fetch('/api/v1/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, data: {} }),
    });
    const { run_ids } = (await answer.json()) as { run_ids: string[] };
    runId ||= run_ids[0] ?? '';
    await expect
      .poll(async () => (await trailOver(engine, runId)).at(-1))
      .toBe(name === 'go' ? 'step.waiting' : 'run.completed');
    if (name === 'more')
      expect(await trailOver(engine, runId)).toEqual([
        'run.started',
        'step.completed',
        'step.waiting',
        'step.completed',
        'run.completed',
      ]);
    await worker.stop();
    await engine.close();
  }
  directory.remove();
});

async function embedded(dataDir: string, fn: IronflowFunction) {
  const { createWorker } = await import('../../../src/index.ts');
  const engine = await createEngine({ dataDir });
  const worker = createWorker({ engine, functions: [fn] });
  void worker.start();
  await worker.ready;
  return { engine, worker };
}

async function trailOver(engine: { fetch: (path: string, init?: RequestInit) => Promise<Response> }, runId: string) {
  const answer = await engine.fetch(`/api/v1/runs/${runId}/audit`, { method: 'GET' });
  return ((await answer.json()) as { entries: { eventType: string }[] }).entries.map(({ eventType }) => eventType);
}
