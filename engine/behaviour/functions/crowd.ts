// More runs at once than there is room for, over every transport: none is left lying, whatever meets while they pass.

import { expect, test } from 'vitest';
import { type IronflowFunction, NonRetryableError } from '../../../src/index.ts';
import type { BehaviourParts } from './parts.ts';

/** Runs of each function. */
const RUNS = 4;
/** Of two workers together: fewer than there are functions. */
const ROOM = 2;

export function testCrowd({ client, define, provide, start, finish }: BehaviourParts): void {
  test('of many runs of several functions, in little room, each comes to its own end', async () => {
    const short = define(async ({ event }) => event.data.n);
    const stepped = define(async ({ event, step }) => {
      const [a] = await Promise.all([step.run('a', () => event.data.n), step.sleep('nap', 2)]);
      return step.run('b', () => a);
    });
    const caller = define(async ({ event, step }) => {
      const [one, other] = await Promise.all([step.invoke(short, event.data), step.invoke(stepped, event.data)]);
      return [one, other];
    });
    const waiting: IronflowFunction = define(async ({ step }) => {
      const answer = step.waitForEvent('answer', { event: `answer.${waiting.id}`, match: 'data.n', timeout: '1m' });
      const beside = step.run('c', () => 'c').then(() => step.run('d', () => 'd'));
      return [(await answer).data.n, await beside];
    });
    const failing = define(async ({ step }) => {
      await step.run('reserve', () => 'reserved');
      step.compensate('reserve', () => {});
      await step.run('flaky', ({ attempt }) => {
        if (attempt < 2) throw new Error('not now');
      });
      throw new NonRetryableError('declined');
    });
    const all = [short, stepped, caller, waiting, failing];
    for (let i = 0; i < 2; i++) await provide(all, { maxConcurrentJobs: ROOM / 2 });
    const outcomes = new Map<IronflowFunction, (n: number) => object>([
      [caller, (n) => ({ status: 'completed', output: [n, n] })],
      [waiting, (n) => ({ status: 'completed', output: [n, 'd'] })],
      [failing, () => ({ status: 'failed', error: { message: 'declined' } })],
    ]);
    const expected = new Map<string, object>();
    await Promise.all(
      Array.from({ length: RUNS }, async (_, n) => {
        for (const fn of all) {
          const runId = await start(fn, { n });
          expected.set(runId, outcomes.get(fn)?.(n) ?? { status: 'completed', output: n });
          if (fn !== waiting) continue;
          // One that is paused and resumed meanwhile, wherever it is, begins all that it would have begun.
          if (n % 2 === 0) await client().pauseRun(runId);
          await client().emit(`answer.${waiting.id}`, { n });
          if (n % 2 === 0) await client().resumeRun(runId);
        }
      }),
    );
    await Promise.all(
      [...expected].map(async ([runId, outcome]) => expect(await finish(runId)).toMatchObject(outcome)),
    );
  });
}
