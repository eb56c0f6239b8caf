// What an engine that is alone finds by itself when the answer of a commit or a claim was lost.

import { expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { runs, steps } from '../store/tables.ts';
import { FailingStore } from '../test-support/failing-store.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const go = { triggers: [{ event: 'go' }] };

async function open() {
  const store = new FailingStore();
  return { store, harness: await openTestEngine({ store }) };
}

test('a run is handed over although nobody heard that it had been leased', async () => {
  const { store, harness } = await open();
  await harness.worker([createFunction({ id: 'f', ...go }, async () => 'done')], { jobsMax: 1 });
  await harness.clock.settle();
  store.failCommit(runs, 'after');
  await expect(harness.emit('go')).rejects.toThrow('the answer was lost');
  await harness.clock.advance(11_000);
  const { runs: found } = await harness.engine.listRuns(env, {});
  expect(found).toMatchObject([{ status: 'completed', output: 'done' }]);
});

test('a run is handed over although nobody heard that it had been claimed', async () => {
  const { store, harness } = await open();
  const fn = createFunction({ id: 'f', ...go }, async () => 'done');
  const first = await harness.worker([fn]);
  await first.line.close();
  await harness.clock.settle();
  const { runIds } = await harness.emit('go');
  store.failClaim('after');
  await harness.worker([fn], { jobsMax: 1 });
  await harness.clock.advance(11_000);
  expect(await harness.engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed', output: 'done' });
});

test('who waits for a run hears of its end although nobody heard that it was stored', async () => {
  const { store, harness } = await open();
  const body = Promise.withResolvers<void>();
  await harness.worker([createFunction({ id: 'f', ...go }, async ({ step }) => step.run('a', () => body.promise))]);
  const { runIds } = await harness.emit('go');
  await harness.clock.settle();
  let heard: string | undefined;
  void harness.engine.result(env, runIds[0] ?? '', 60_000).then(({ status }) => (heard = status));
  body.resolve();
  store.failCommit(runs, 'after');
  await harness.clock.advance(100);
  expect(heard).toBe('completed');
});

test('a branch hears of its event although nobody heard that its wait was met', async () => {
  const { store, harness } = await open();
  const heard: unknown[] = [];
  const fn = createFunction({ id: 'f', ...go }, async ({ step }) => {
    const hold = step.run('hold', () => new Promise(() => {}));
    heard.push((await step.waitForEvent('answer', { event: 'answer', timeout: '1h' })).data);
    return hold;
  });
  await harness.worker([fn]);
  await harness.emit('go');
  await harness.clock.settle();
  store.failCommit(steps, 'after');
  await harness.emit('answer', { n: 1 });
  await harness.clock.advance(100);
  expect(heard).toEqual([{ n: 1 }]);
});
