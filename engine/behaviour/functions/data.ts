// The data of events, what runs are found by in it, and secrets, over every transport.

import { expect, test } from 'vitest';
import { z } from 'zod';
import { createEventDefinitionRegistry, createFunction, defineEvent, NonRetryableError } from '../../../src/index.ts';
import type { BehaviourParts } from './parts.ts';
import { fast } from './parts.ts';

export function testData({ client, define, execute, finish, nextId, provide, setSecret, start }: BehaviourParts): void {
  test('data that does not fit the schema fails the run and names the paths', async () => {
    const schema = z.object({ order: z.object({ id: z.string(), lines: z.array(z.number()) }) });
    const id = nextId();
    const fn = createFunction(
      { id, triggers: [{ event: `start.${id}` }], schema, retry: fast },
      async ({ event }) => event.data.order.id,
    );
    expect(await execute(fn, { order: { id: 'x', lines: [1] } })).toMatchObject({ status: 'completed', output: 'x' });
    const failed = await finish(await start(fn, { order: { id: 5, lines: [1, 'two'] } }));
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'SCHEMA_VALIDATION' } });
    expect(failed.error?.message).toMatch(/order\.id.*order\.lines\.1/s);
  });

  test('events of older versions are lifted before the function sees them, and checked by their definition', async () => {
    const id = nextId();
    const placed = defineEvent({
      name: `placed.${id}`,
      version: 3,
      schema: z.object({ amount: z.number(), currency: z.string() }),
      upcast: (data) => ({ ...(data as object), amount: (data as { total: unknown }).total }),
    });
    const eventDefinitions = createEventDefinitionRegistry();
    eventDefinitions.register(defineEvent({ name: placed.name, version: 1 }));
    eventDefinitions.register(
      defineEvent({ name: placed.name, version: 2, upcast: (data) => ({ currency: 'EUR', ...(data as object) }) }),
    );
    eventDefinitions.register(placed);
    const fn = createFunction({ id, triggers: [{ event: placed }], retry: fast }, async ({ event, step }) => {
      const next = await step.waitForEvent('next', { event: placed, timeout: '1m' });
      return [event.version, event.data, next.version, next.data];
    });
    await provide([fn], { eventDefinitions });
    const { runIds } = await client().emit(placed.name, { total: 5 });
    await client().emit(placed, { amount: 7, currency: 'CHF' });
    expect(await finish(runIds[0] ?? '')).toMatchObject({
      status: 'completed',
      output: [1, { amount: 5, currency: 'EUR' }, 3, { amount: 7, currency: 'CHF' }],
    });

    const { runIds: wrong } = await client().emit(placed.name, { total: 'five' }, { version: 2 });
    expect(await finish(wrong[0] ?? '')).toMatchObject({
      status: 'failed',
      error: { code: 'SCHEMA_VALIDATION', message: expect.stringMatching(/"placed\.f\d+", version 3: amount: /) },
    });
    await expect(client().emit(placed, { amount: '7' } as never)).rejects.toMatchObject({
      code: 'SCHEMA_VALIDATION',
      details: { validationErrors: [{ path: 'amount' }, { path: 'currency' }] },
    });
  });

  test('declared secrets reach the function, others do not, and their values are nowhere in what it leaves', async () => {
    await setSecret('SHOP_KEY', 'key-of-the-shop-1');
    await setSecret('OTHER_KEY', 'key-of-another-1');
    const seen: string[] = [];
    const child = define(async ({ event }) => event.data, { triggers: [] });
    const fn = define(
      async ({ step, secrets }) => {
        seen.push(secrets.get('SHOP_KEY'));
        const key = await step.run('leak', () => ({ url: `https://x.test/?k=${secrets.get('SHOP_KEY')}` }));
        const handedOn = await step.invoke<{ key: string }>(child.id, { key: secrets.get('SHOP_KEY') });
        const caught = await step
          .run('fail', () => {
            throw new NonRetryableError(`bad key ${secrets.get('SHOP_KEY')}`);
          })
          .catch((error: Error) => error.message);
        await step.sleep('nap', 10);
        const kept = [secrets.has('OTHER_KEY'), secrets.has('MISSING')];
        return { key, handedOn, caught, kept, again: secrets.get('SHOP_KEY') };
      },
      { secrets: ['SHOP_KEY', 'MISSING'] },
    );
    await provide([child, fn]);
    expect(await finish(await start(fn))).toMatchObject({
      status: 'completed',
      output: {
        key: { url: 'https://x.test/?k=***' },
        handedOn: { key: '***' },
        caught: 'bad key ***',
        kept: [false, false],
        again: '***',
      },
    });
    expect(new Set(seen)).toEqual(new Set(['key-of-the-shop-1']));

    await setSecret('SHOP_KEY', 'key-of-the-shop-2');
    const failing = define(
      async ({ secrets }) => {
        throw new NonRetryableError(`${secrets.get('SHOP_KEY').length} key-of-the-shop-1 ${secrets.get('SHOP_KEY')}`);
      },
      { secrets: ['SHOP_KEY'] },
    );
    expect(await execute(failing)).toMatchObject({ status: 'failed', error: { message: '17 *** ***' } });
  });

  test('a step whose name has a secret in it fails its run, and says so without the value', async () => {
    await setSecret('NAME_KEY', 'key-in-a-name');
    const fn = define(async ({ step, secrets }) => step.run(`pay with ${secrets.get('NAME_KEY')}`, () => 1), {
      secrets: ['NAME_KEY'],
    });
    const run = await execute(fn);
    expect(run).toMatchObject({ status: 'failed', error: { code: 'SECRET_IN_NAME' } });
    expect(JSON.stringify(run)).not.toContain('key-in-a-name');
  });

  test('a secret that was never set is an error that says what to do', async () => {
    const fn = define(async ({ secrets }) => secrets.get('NEVER_SET'), { secrets: ['NEVER_SET'] });
    expect(await execute(fn)).toMatchObject({ status: 'failed', error: { code: 'NOT_CONFIGURED' } });
  });

  test('an event that no upcaster leads on from fails its run, for good', async () => {
    const eventDefinitions = createEventDefinitionRegistry();
    const id = nextId();
    eventDefinitions.register(defineEvent({ name: `start.${id}`, version: 2 }));
    const fn = createFunction({ id, triggers: [{ event: `start.${id}` }], retry: fast }, async () => 'never');
    await provide([fn], { eventDefinitions });
    expect(await finish(await start(fn))).toMatchObject({
      status: 'failed',
      attempt: 1,
      error: { code: 'UPCAST_FAILED', details: { event: `start.${id}`, missingFrom: 1 } },
    });
  });

  test('a run is found by the attributes that its function declares, and so is a run that it calls', async () => {
    const child = define(async ({ event }) => event.data.order.id, {
      attributes: { orderId: 'data.order.id', kind: 'source' },
    });
    const parent = define(async ({ step }) => step.invoke(child.id, { order: { id: 'child' } }), {
      attributes: { orderId: 'data.order.id', express: 'data.express' },
    });
    await provide([child, parent]);
    const data = { order: { id: 42 }, express: true };
    const runId = await start(parent, data);
    expect(await finish(runId)).toMatchObject({ output: 'child', attributes: { orderId: '42', express: 'true' } });
    await start(child, data);
    const found = await client().listRuns({ functionId: parent.id, attributes: { orderId: 42, express: true } });
    expect(found).toMatchObject({
      totalCount: 1,
      runs: [{ id: runId, attributes: { orderId: '42', express: 'true' } }],
    });
    expect(await client().listRuns({ functionId: child.id, attributes: { orderId: 'child' } })).toMatchObject({
      totalCount: 1,
      runs: [{ parentRunId: runId, attributes: { orderId: 'child', kind: 'invoke' } }],
    });
    expect(await client().listRuns({ attributes: { orderId: 'nobody' } })).toEqual({ runs: [], totalCount: 0 });
    await expect(client().listRuns({ attributes: { orderId: undefined as never } })).rejects.toMatchObject({
      code: 'VALIDATION_ERROR',
    });
  });
}
