// Steps, what they give back, and what callers and topics have of it, over every transport.

import { expect, test } from 'vitest';
import { NonRetryableError } from '../../../src/index.ts';
import type { BehaviourParts } from './parts.ts';

export function testSteps({ client, define, execute, finish, provide, start }: BehaviourParts): void {
  test('steps run once each, in order, and give back what JSON keeps of their results', async () => {
    const calls: string[] = [];
    const fn = define(async ({ event, step, run }) => {
      const first = await step.run('first', () => {
        calls.push('first');
        return { n: event.data.n, at: new Date(0), gone: undefined, list: [undefined, Number.NaN] };
      });
      await step.run('nothing', () => void calls.push('nothing'));
      return { first, isText: typeof first.at, attempt: run.attempt };
    });
    expect(await execute(fn, { n: 1, text: 'ü\u2028"\\' })).toMatchObject({
      status: 'completed',
      output: { first: { n: 1, at: '1970-01-01T00:00:00.000Z', list: [null, null] }, isText: 'string', attempt: 1 },
    });
    expect(calls).toEqual(['first', 'nothing']);
  });

  test('what was done before a sleep is not done again after it', async () => {
    const calls: string[] = [];
    const fn = define(async ({ step }) => {
      const a = await step.run('a', () => calls.push('a'));
      await step.sleep('nap', 30);
      const b = await step.run('b', () => calls.push('b'));
      await step.sleepUntil('until', new Date(Date.now() - 1_000));
      return [a, b, await step.run('c', () => calls.push('c'))];
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: [1, 2, 3] });
    expect(calls).toEqual(['a', 'b', 'c']);
  });

  test('a suspension runs neither catch nor finally of the function', async () => {
    const seen: string[] = [];
    const fn = define(async ({ step }) => {
      try {
        await step.sleep('nap', 20);
        return await step.run('after', () => 'ok');
      } catch (error) {
        seen.push(`caught ${error}`);
        throw error;
      } finally {
        seen.push('finally');
      }
    });
    expect(await execute(fn)).toMatchObject({ status: 'completed', output: 'ok' });
    expect(seen).toEqual(['finally']);
  });

  test('several waits pass side by side, in plain Promise.all as well as in parallel', async () => {
    const fn = define(async ({ step }) => {
      const [, , c] = await Promise.all([step.sleep('x', 60), step.sleep('y', 40), step.run('z', () => 'z')]);
      const d = await step.parallel('p', [
        (s) => s.sleep('one', 30).then(() => s.run('r', () => 1)),
        (s) => s.sleep('two', 20).then(() => s.run('r', () => 2)),
      ]);
      return [c, ...d];
    });
    const run = await execute(fn);
    expect(run).toMatchObject({ status: 'completed', output: ['z', 1, 2] });
  });

  test('Promise.race has one winner, also when the run is replayed', async () => {
    const winners: string[] = [];
    const fn = define(async ({ step }) => {
      const winner = await Promise.race([
        step.sleep('slow', 2_000).then(() => 'slow'),
        step.run('quick', () => 'quick'),
      ]);
      winners.push(winner);
      await step.sleep('pause', 10);
      return winner;
    });
    expect(await execute(fn)).toMatchObject({ output: 'quick' });
    expect(new Set(winners)).toEqual(new Set(['quick']));
  });

  test('map keeps to its concurrency and the order of its items', async () => {
    let running = 0;
    let most = 0;
    const fn = define(async ({ event, step }) =>
      step.map(
        'all',
        event.data.items as number[],
        async (item, s, index) =>
          s.run('one', async () => {
            most = Math.max(most, ++running);
            await new Promise((resolve) => setTimeout(resolve, 5));
            running--;
            return item * 10 + index;
          }),
        { concurrency: 3 },
      ),
    );
    const items = Array.from({ length: 12 }, (_, i) => i);
    expect(await execute(fn, { items })).toMatchObject({ output: items.map((i) => i * 11) });
    expect(most).toBe(3);
  });

  test('publish stores one message for each step, and the client sees the topic', async () => {
    const topic = `topic.of.${Math.random().toString(36).slice(2)}`;
    const fn = define(async ({ step }) => {
      const first = await step.publish(topic, { n: 1 });
      await step.sleep('nap', 10);
      const second = await step.publish(topic);
      return [first, second];
    });
    const { output } = await execute(fn);
    expect(output).toEqual([
      { eventId: expect.stringMatching(/^msg_/), sequence: 1 },
      { eventId: expect.stringMatching(/^msg_/), sequence: 2 },
    ]);
    const options = { idempotencyKey: topic };
    const third = await client().publish(topic, { n: 3 }, options);
    expect(third.sequence).toBe(3);
    expect(await client().publish(topic, { n: 4 }, options)).toEqual(third);
    expect(await client().getTopicStats(topic)).toMatchObject({ messageCount: 3, firstSeq: 1, lastSeq: 3 });
    expect(await client().listTopics()).toContainEqual(expect.objectContaining({ name: topic, messageCount: 3 }));
  });

  test('the start of a step that must not run twice is on record while its body runs', async () => {
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const fn = define(async ({ step }) => {
      const body = () => {
        begun.resolve();
        return gate.promise;
      };
      await step.run('pay', body, { effect: 'once' });
    });
    await provide([fn]);
    const runId = await start(fn);
    await begun.promise;
    expect((await client().getRunSteps(runId)).steps).toMatchObject([
      { name: 'pay', attempts: [{ outcome: 'unknown' }] },
    ]);
    gate.resolve();
    expect(await finish(runId)).toMatchObject({ status: 'completed' });
  });

  test('a step that must not run twice starts on record; nothing is to be decided once it has ended', async () => {
    const fn = define(async ({ step }) => step.run('pay', ({ attempt }) => `paid ${attempt}`, { effect: 'once' }));
    const run = await execute(fn);
    expect(run).toMatchObject({ status: 'completed', output: 'paid 1' });
    const { steps } = await client().getRunSteps(run.id);
    expect(steps).toMatchObject([
      {
        attempts: [{ number: 1, outcome: 'completed', worker: expect.any(String) }],
        starts: { atLeast: 1, atMost: 1 },
      },
    ]);
    await expect(client().decideStep(run.id, steps[0]?.id ?? '', { again: true })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  test('emitSync waits for the result and throws the failure', async () => {
    const good = define(async ({ event, step }) => step.run('a', () => event.data.n + 1));
    const bad = define(async () => {
      throw new NonRetryableError('not today');
    });
    await provide([good, bad]);
    expect(await client().emitSync(`start.${good.id}`, { n: 1 })).toMatchObject({
      status: 'completed',
      output: 2,
    });
    await expect(client().emitSync(`start.${bad.id}`)).rejects.toMatchObject({
      code: 'RUN_FAILED',
      message: 'not today',
    });
  });

  test('an idempotency key starts its runs once', async () => {
    const fn = define(async () => 'once');
    await provide([fn]);
    const options = { idempotencyKey: `key-${fn.id}` };
    const emitted = await Promise.all(Array.from({ length: 5 }, () => client().emit(`start.${fn.id}`, {}, options)));
    expect(new Set(emitted.map(({ eventId }) => eventId)).size).toBe(1);
    expect(new Set(emitted.flatMap(({ runIds }) => runIds)).size).toBe(1);
  });
}
