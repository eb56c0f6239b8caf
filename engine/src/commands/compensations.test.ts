import { NonRetryableError } from '@ironflow/core';
import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import type { StepClient } from '../../../src/step/index.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const retry = { maxAttempts: 3, initialDelayMs: 1_000, backoffFactor: 1 } as const;

/** Books three things, each with what undoes it; then does `last`. */
function trip(
  calls: string[],
  last: (step: StepClient) => unknown,
  undo: (name: string, attempt: number) => unknown = () => {},
) {
  return createFunction({ id: 'trip', triggers: [{ event: 'go' }], retry }, async ({ step }) => {
    for (const name of ['flight', 'hotel', 'car']) {
      await step.run(name, () => void calls.push(name));
      step.compensate(name, ({ attempt }) => {
        calls.push(`undo ${name}`);
        return undo(name, attempt);
      });
    }
    return last(step);
  });
}

const declined = () => {
  throw new NonRetryableError('declined');
};
const booked = ['flight', 'hotel', 'car'];
const undone = ['undo car', 'undo hotel', 'undo flight'];

async function begin(fn: ReturnType<typeof trip>) {
  const harness = await openTestEngine();
  await harness.worker([fn]);
  const { runIds } = await harness.emit('go');
  const runId = runIds[0] ?? '';
  await harness.clock.settle();
  const run = () => harness.engine.getRun(env, runId);
  const steps = async () =>
    (await harness.engine.getSteps(env, runId)).map(({ type, name, status }) => `${type} ${name} ${status}`);
  return { ...harness, runId, run, steps };
}

describe('compensations', () => {
  test.each([
    ['an error that is not tried again', (step: StepClient) => step.run('pay', declined), 0],
    [
      'attempts of a step that are used up',
      (step: StepClient) =>
        step.run('pay', () => {
          throw new Error('no');
        }),
      10_000,
    ],
    ['an error of the handler in its last attempt', () => Promise.reject(new Error('no')), 10_000],
  ])('run after %s', async (_, last, ms) => {
    const calls: string[] = [];
    const { clock, run, steps } = await begin(trip(calls, last));
    await clock.advance(ms);
    expect(calls).toEqual([...booked, ...undone]);
    expect(await run()).toMatchObject({ status: 'failed', error: { message: expect.stringMatching(/declined|no/) } });
    expect((await steps()).filter((one) => one.startsWith('compensate'))).toEqual(
      undone.map((one) => `compensate compensate:${one.slice(5)} completed`),
    );
  });

  test('run when the function has used up its time for good, under a new lease', async () => {
    const calls: string[] = [];
    const fn = createFunction(
      { id: 'trip', triggers: [{ event: 'go' }], retry: { maxAttempts: 1 }, timeout: 5_000 },
      async ({ step }) => {
        step.compensate('slow', () => void calls.push('undo'));
        await step.run('slow', () => new Promise(() => {}));
      },
    );
    const { clock, run, engine, runId } = await begin(fn);
    await clock.advance(6_000);
    expect(calls).toEqual(['undo']);
    expect(await run()).toMatchObject({ status: 'failed', error: { code: 'FUNCTION_TIMEOUT' } });
    expect(await engine.getRunAttempts(env, runId)).toMatchObject([{ outcome: 'unknown' }]);
  });

  test('one that fails is tried again by the policy, then recorded; the others run', async () => {
    const calls: string[] = [];
    const fn = trip(
      calls,
      (step) => step.run('pay', declined),
      (name) => {
        if (name === 'hotel') throw new Error('the hotel does not answer');
      },
    );
    const { clock, run, steps } = await begin(fn);
    expect(await run()).toMatchObject({
      status: 'waiting',
      ending: { status: 'failed', error: { message: 'declined' } },
    });
    await clock.advance(10_000);
    expect(calls).toEqual([...booked, 'undo car', 'undo hotel', 'undo hotel', 'undo hotel', 'undo flight']);
    const end = await run();
    expect(end).toMatchObject({ status: 'failed', error: { message: 'declined' } });
    expect(end.ending).toBeUndefined();
    expect(await steps()).toContain('compensate compensate:hotel failed');
  });

  test('a worker that dies in the midst of it is followed by one that goes on there', async () => {
    const calls: string[] = [];
    const hangs = Promise.withResolvers<void>();
    const fn = trip(
      calls,
      (step) => step.run('pay', declined),
      (name) =>
        name === 'hotel' && calls.filter((one) => one === 'undo hotel').length === 1 ? hangs.promise : undefined,
    );
    const harness = await openTestEngine();
    const first = await harness.worker([fn]);
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    expect(calls.at(-1)).toBe('undo hotel');
    first.crash();
    await first.line.close();
    await harness.worker([fn]);
    await harness.clock.advance(300_000);
    expect(calls).toEqual([...booked, 'undo car', 'undo hotel', 'undo hotel', 'undo flight']);
    expect(await harness.engine.getRun(env, runIds[0] ?? '')).toMatchObject({ status: 'failed' });
  });

  describe('of a run that is cancelled', () => {
    const waiting = (step: StepClient) => step.waitForEvent('answer', { event: 'answer' });

    test('run when that is asked for', async () => {
      const calls: string[] = [];
      const { engine, clock, run, runId, emit } = await begin(trip(calls, waiting));
      expect(await engine.operations.cancel(env, runId, { reason: 'changed my mind', compensate: true })).toMatchObject(
        {
          ending: { status: 'cancelled', error: { code: 'RUN_CANCELLED' } },
        },
      );
      await clock.settle();
      expect(calls).toEqual([...booked, ...undone]);
      expect(await run()).toMatchObject({
        status: 'cancelled',
        error: { message: expect.stringContaining('my mind') },
      });
      await emit('answer');
      expect(await run()).toMatchObject({ status: 'cancelled' });
    });

    test('do not run otherwise', async () => {
      const calls: string[] = [];
      const { engine, clock, runId } = await begin(trip(calls, waiting));
      expect(await engine.operations.cancel(env, runId, { reason: '' })).toMatchObject({ status: 'cancelled' });
      await clock.advance(3_600_000);
      expect(calls).toEqual(booked);
    });

    test('end at once when a second cancel does not want them', async () => {
      const calls: string[] = [];
      const { engine, clock, runId } = await begin(trip(calls, waiting, () => new Promise(() => {})));
      await engine.operations.cancel(env, runId, { reason: 'first', compensate: true });
      await clock.settle();
      expect(calls.slice(3)).toEqual(['undo car']);
      expect(await engine.operations.cancel(env, runId, { reason: 'enough' })).toMatchObject({ status: 'cancelled' });
      await clock.advance(3_600_000);
      expect(calls.slice(3)).toEqual(['undo car']);
    });

    test('take the run from the worker that is busy with it: its late report is refused', async () => {
      const calls: string[] = [];
      const paid = Promise.withResolvers<void>();
      const fn = trip(calls, (step) => step.run('pay', () => paid.promise));
      const { engine, clock, run, runId, steps } = await begin(fn);
      await engine.operations.cancel(env, runId, { reason: '', compensate: true });
      paid.resolve();
      await clock.settle();
      expect(calls).toEqual([...booked, ...undone]);
      expect(await steps()).not.toContain('run pay completed');
      expect(await run()).toMatchObject({ status: 'cancelled' });
    });

    test('are nothing for a run that nobody has begun', async () => {
      const harness = await openTestEngine();
      const { runIds } = await (async () => {
        const worker = await harness.worker([trip([], waiting)]);
        worker.line.drain();
        return harness.emit('go');
      })();
      expect(
        await harness.engine.operations.cancel(env, runIds[0] ?? '', { reason: '', compensate: true }),
      ).toMatchObject({
        status: 'cancelled',
      });
    });
  });

  test('that use up the function’s time again and again are given up, and the run ends', async () => {
    const calls: string[] = [];
    const fn = createFunction(
      { id: 'trip', triggers: [{ event: 'go' }], retry: { maxAttempts: 1 }, timeout: 1_000 },
      async ({ step }) => {
        step.compensate('a', () => {
          calls.push('undo');
          return new Promise(() => {});
        });
        throw new NonRetryableError('declined');
      },
    );
    const { clock, run } = await begin(fn);
    await clock.advance(3_600_000);
    expect(calls).toHaveLength(6);
    expect(await run()).toMatchObject({ status: 'failed', error: { message: 'declined' } });
  });
});
