import type { JsonText } from '@ironflow/core';
import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { topicMessages } from '../store/tables.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const message = (topic: string, data: unknown, idempotencyKey: string | null = null) => ({
  env,
  topic,
  data: JSON.stringify(data) as JsonText,
  idempotencyKey,
  runId: null,
});

describe('publish', () => {
  test('numbers the messages of each topic by themselves, and one idempotency key publishes once', async () => {
    const { engine } = await openTestEngine();
    const published = await Promise.all([
      engine.publish(message('orders', 1)),
      engine.publish(message('orders', 2)),
      engine.publish(message('news', 3)),
    ]);
    expect(published.map(({ sequence }) => sequence).sort()).toEqual([1, 1, 2]);
    const once = await engine.publish(message('orders', 4, 'key'));
    expect(await engine.publish(message('orders', 5, 'key'))).toEqual(once);
    expect(await engine.publish(message('news', 5, 'key'))).toMatchObject({ sequence: 2 });
    expect(await engine.getTopicStats(env, 'orders')).toEqual({
      name: 'orders',
      messageCount: 3,
      consumerCount: 0,
      lag: 3,
      firstSeq: 1,
      lastSeq: 3,
    });
    expect(await engine.getTopicStats(env, 'nothing')).toMatchObject({ messageCount: 0, firstSeq: 0, lastSeq: 0 });
    expect((await engine.listTopics(env)).map(({ name, messageCount }) => [name, messageCount])).toEqual([
      ['news', 2],
      ['orders', 3],
    ]);
    expect(await engine.listTopics('elsewhere')).toEqual([]);
  });
});

describe('step.publish', () => {
  const publisher = createFunction({ id: 'publisher', triggers: [{ event: 'go' }] }, async ({ step, event }) => {
    const both = await Promise.all([
      step.publish('orders', { n: event.data.n }),
      step.publish('orders', { n: 'second' }),
    ]);
    await step.sleep('nap', 1_000);
    return both;
  });

  test('stores the message with the step, and gives back its id and number, on replay too', async () => {
    const { engine, emit, worker, clock, store } = await openTestEngine();
    await worker([publisher]);
    await engine.publish(message('orders', 'before'));
    const { runIds } = await emit('go', { n: 7 });
    const runId = runIds[0] ?? '';
    await clock.advance(2_000);
    const rows = (await store.scan({ table: topicMessages, prefix: [env, 'orders'], limit: 9 })).map(({ row }) => row);
    expect(rows.map(({ position, data, runId: by }) => [position, data, by])).toEqual([
      [1, '"before"', null],
      [2, '{"n":7}', runId],
      [3, '{"n":"second"}', runId],
    ]);
    const expected = [
      { eventId: rows[1]?.id, sequence: 2 },
      { eventId: rows[2]?.id, sequence: 3 },
    ];
    expect(await engine.getRun(env, runId)).toMatchObject({ status: 'completed', output: expected });
    const steps = await engine.getSteps(env, runId);
    expect(steps.filter(({ type }) => type === 'publish')).toMatchObject([
      { name: 'publish:orders', output: expected[0] },
      { name: 'publish:orders', output: expected[1] },
    ]);
  });

  test('one message for each step, also when the report that brought it is sent again', async () => {
    const { engine, emit, worker, clock, store } = await openTestEngine();
    let lost = 0;
    await worker([publisher], {
      between: async (report, send) => {
        const answer = await send(report);
        if (report.waits.length > 0 && lost++ === 0) return send(report); // its answer did not arrive
        return answer;
      },
    });
    const { runIds } = await emit('go');
    await clock.advance(2_000);
    expect(await engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'completed' });
    expect(lost).toBeGreaterThan(0);
    expect(await store.head(topicMessages, [env, 'orders'])).toBe(2);
  });
});
