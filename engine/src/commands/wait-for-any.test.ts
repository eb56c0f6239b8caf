import { describe, expect, test } from 'vitest';
import { createFunction, type IronflowFunction } from '../../../src/function/index.ts';
import type { Alternatives } from '../../../src/step/index.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Store } from '../store/port.ts';
import { waits } from '../store/tables.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const HOUR = 3_600_000;
const both: Alternatives = {
  paid: { event: 'order.paid', match: 'data.id' },
  cancelled: { event: 'order.cancelled', match: 'data.id == trigger.data.id && data.final' },
  timeout: '1d',
};
const waiter = (alternatives = both, napMs?: number) =>
  createFunction({ id: 'waiter', triggers: [{ event: 'order.placed' }] }, async ({ step }) => {
    if (napMs !== undefined) await step.sleep('nap', napMs);
    const { which, event } = await step.waitForAny('outcome', alternatives);
    return { which, name: event.name, data: event.data, isDate: event.timestamp instanceof Date };
  });

async function begin(fn: IronflowFunction = waiter(), store: Store = new MemoryStore()) {
  const harness = await openTestEngine({ store });
  await harness.worker([fn]);
  const { runIds } = await harness.emit('order.placed', { id: 7 });
  const runId = runIds[0] ?? '';
  await harness.clock.settle();
  const openWaits = async () => (await store.scan({ table: waits, prefix: [runId], limit: 99 })).length;
  return { ...harness, openWaits, run: () => harness.engine.getRun(env, runId), runId };
}

describe('waitForAny', () => {
  test.each([
    ['order.paid', { id: 7 }, 'paid'],
    ['order.cancelled', { id: 7, final: true }, 'cancelled'],
  ])('resolves with %s, and waits for none of the others', async (name, data, which) => {
    const { emit, clock, run, openWaits } = await begin();
    expect([(await run()).status, await openWaits()]).toEqual(['waiting', 3]);
    await emit(name, { ...data, id: 8 });
    await emit('order.cancelled', { id: 7, final: false });
    await clock.settle();
    expect((await run()).status).toBe('waiting');
    await emit(name, data);
    await clock.settle();
    expect(await run()).toMatchObject({ status: 'completed', output: { which, name, data, isDate: true } });
    expect(await openWaits()).toBe(0);
  });

  test('takes the oldest of those that came before it asked, whichever it was', async () => {
    const { emit, clock, run } = await begin(waiter(both, HOUR));
    await emit('order.cancelled', { id: 7, final: true });
    await emit('order.paid', { id: 7 });
    await clock.advance(HOUR);
    expect(await run()).toMatchObject({ status: 'completed', output: { which: 'cancelled' } });
  });

  test('takes the oldest when both come together, and resolves once', async () => {
    const { emit, clock, run, engine, runId } = await begin();
    await Promise.all([emit('order.paid', { id: 7 }), emit('order.cancelled', { id: 7, final: true })]);
    await clock.settle();
    expect(await run()).toMatchObject({ status: 'completed', output: { which: 'paid' } });
    expect((await engine.getSteps(env, runId)).map(({ type, name }) => [type, name])).toEqual([
      ['wait_for_any', 'outcome'],
    ]);
  });

  test('of two alternatives for one event, the one given first is taken', async () => {
    const alternatives = { large: { event: 'e', match: 'data.n > 10' }, any: { event: 'e' } };
    for (const [n, which] of [
      [11, 'large'],
      [9, 'any'],
    ] as const) {
      const { emit, clock, run } = await begin(waiter(alternatives));
      await emit('e', { n });
      await clock.settle();
      expect(await run()).toMatchObject({ output: { which } });
    }
  });

  test('throws when none comes in time, and takes one that came in time and was not looked for', async () => {
    const late = await begin();
    await late.clock.advance(25 * HOUR);
    expect(await late.run()).toMatchObject({ status: 'failed', error: { details: { stepName: 'outcome' } } });
    expect((await late.run()).error?.message).toContain('None of the events that step "outcome" waits for came');
    class ForgetfulStore extends MemoryStore {
      override scan: Store['scan'] = (scan) => (scan.index === 'byEvent' ? Promise.resolve([]) : super.scan(scan));
    }
    const forgotten = await begin(waiter(), new ForgetfulStore());
    await forgotten.clock.advance(HOUR);
    await forgotten.emit('order.paid', { id: 7 });
    await forgotten.clock.advance(25 * HOUR);
    expect(await forgotten.run()).toMatchObject({ status: 'completed', output: { which: 'paid' } });
  });

  test('a match that cannot be used fails the step, and nothing stays open', async () => {
    const { run, openWaits } = await begin(
      waiter({ paid: { event: 'order.paid' }, odd: { event: 'x', match: 'data.a ==' } }),
    );
    expect((await run()).error?.message).toContain('cannot be used');
    expect(await openWaits()).toBe(0);
  });

  test('without a name, its keys are its name', async () => {
    const fn = createFunction({ id: 'waiter', triggers: [{ event: 'order.placed' }] }, async ({ step }) => {
      const answer = await step.waitForAny({ yes: { event: 'y' }, no: { event: 'n' } });
      return answer.which;
    });
    const { emit, clock, engine, runId } = await begin(fn);
    expect(await engine.getSteps(env, runId)).toMatchObject([
      { name: 'yes|no', status: 'waiting', type: 'wait_for_any' },
    ]);
    await emit('n');
    await clock.settle();
    expect(await engine.getRun(env, runId)).toMatchObject({ status: 'completed', output: 'no' });
  });
});
