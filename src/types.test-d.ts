// Types that users rely on.

import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  createClient,
  createEventDefinitionRegistry,
  createFunction,
  createWorker,
  defineEvent,
  type IronflowEvent,
  type IronflowFunction,
  ironflow,
  type StepClient,
  serve,
} from './index.ts';

declare const step: StepClient;

test('event.data has the type that the schema gives', () => {
  const schema = z.object({ orderId: z.string(), amount: z.number().default(0), note: z.string().optional() });
  createFunction({ id: 'f', triggers: [{ event: 'e' }], schema }, async ({ event }) => {
    expectTypeOf(event.data).toEqualTypeOf<{ orderId: string; amount: number; note?: string | undefined }>();
    expectTypeOf(event.name).toBeString();
    expectTypeOf(event.timestamp).toEqualTypeOf<Date>();
    // @ts-expect-error the schema has no such field
    event.data.missing;
  });
  ironflow.createFunction({ id: 'g', triggers: [], schema: z.array(z.string()) }, async ({ event }) => {
    expectTypeOf(event.data).toEqualTypeOf<string[]>();
  });
});

test('attributes are names with paths; a filter has values', async () => {
  createFunction({ id: 'f', triggers: [], attributes: { orderId: 'data.order.id' } }, async () => {});
  // @ts-expect-error a path is text
  createFunction({ id: 'f', triggers: [], attributes: { orderId: 7 } }, async () => {});
  const client = createClient();
  const { runs } = await client.listRuns({ attributes: { orderId: 42, tier: 'gold', express: true } });
  expectTypeOf(runs[0]?.attributes).toEqualTypeOf<Readonly<Record<string, string>> | undefined>();
  await client.bulkRuns('cancel', { attributes: { orderId: '42' } });
  // @ts-expect-error an attribute without a value would be left out, and more runs fit
  await client.bulkRuns('cancel', { attributes: { orderId: undefined } });
});

test('without a schema event.data may be anything', () => {
  createFunction({ id: 'f', triggers: [{ event: 'e' }] }, async ({ event }) => {
    expectTypeOf(event.data.orderId.deep).toBeAny();
  });
});

test('a step gives back what JSON keeps of its result', async () => {
  expectTypeOf(await step.run('a', () => 1)).toEqualTypeOf<number>();
  expectTypeOf(await step.run('a', async () => ({ id: 'x', tags: ['a'] }))).toEqualTypeOf<{
    id: string;
    tags: string[];
  }>();
  expectTypeOf(await step.run('a', () => ({ at: new Date(), n: 1 }))).toEqualTypeOf<{ at: string; n: number }>();
  expectTypeOf(
    await step.run('a', ({ attempt, idempotencyKey, signal }) => [attempt, idempotencyKey, signal.aborted]),
  ).toEqualTypeOf<(string | number | boolean)[]>();
});

test('a result that may be undefined comes back as null', async () => {
  const found = (): { id: string } | undefined => undefined;
  expectTypeOf(await step.run('find', found)).toEqualTypeOf<{ id: string } | null>();
  expectTypeOf(await step.run('save', async () => {})).toEqualTypeOf<undefined>();
  expectTypeOf(await step.run('any', (): unknown => 1)).toEqualTypeOf<unknown>();
  const find = createFunction({ id: 'find', triggers: [] }, async () => found());
  expectTypeOf(await step.invoke(find)).toEqualTypeOf<{ id: string } | null>();
});

test('branches keep their types and their order', async () => {
  const both = await step.parallel('p', [(s) => s.run('a', () => 1), async () => 'two']);
  expectTypeOf(both).toEqualTypeOf<[number, string]>();
  const settled = await step.parallel('p', [(s) => s.run('a', () => 1), async () => 'two'], { onError: 'allSettled' });
  expectTypeOf(settled).toEqualTypeOf<[number | Error, string | Error]>();
  expectTypeOf(await step.map('m', [1, 2], async (item, _step, index) => `${item}${index}`)).toEqualTypeOf<string[]>();
  // @ts-expect-error a branch is a function of its step client
  step.parallel('p', [Promise.resolve(1)]);
});

test('waits and calls say what they return', async () => {
  const double = createFunction(
    { id: 'double', triggers: [], schema: z.object({ n: z.number() }) },
    async ({ event }) => ({ doubled: event.data.n * 2, at: new Date() }),
  );
  expectTypeOf(await step.invoke(double, { n: 4 })).toEqualTypeOf<{ doubled: number; at: string }>();
  expectTypeOf(await step.invokeAsync(double, { n: 4 })).toEqualTypeOf<{ readonly runId: string }>();
  // @ts-expect-error: it needs a number
  void step.invoke(double, { n: 'four' });
  // @ts-expect-error: it needs an input
  void step.invoke(double);
  const untyped = createFunction({ id: 'untyped', triggers: [] }, async () => 'text');
  expectTypeOf(await step.invoke(untyped)).toEqualTypeOf<string>();
  expectTypeOf(
    await step.invoke(untyped, { any: 1 }, { timeout: '5m', cancelWithParent: false }),
  ).toEqualTypeOf<string>();
  expectTypeOf(await step.invoke<{ url: string }>('by-id', { n: 1 })).toEqualTypeOf<{ url: string }>();
  const outcome = await step.waitForAny('w', { paid: { event: 'a' }, cancelled: { event: 'b' }, timeout: '1d' });
  expectTypeOf(outcome.which).toEqualTypeOf<'paid' | 'cancelled'>();
  expectTypeOf((await step.waitForAny({ yes: { event: 'y' } })).which).toEqualTypeOf<'yes'>();
  expectTypeOf(await step.publish('topic', { n: 1 })).toEqualTypeOf<{
    readonly eventId: string;
    readonly sequence: number;
  }>();
  expectTypeOf(step.compensate('a', () => 1)).toEqualTypeOf<void>();
  expectTypeOf(await step.waitForEvent<{ by: string }>('w', { event: 'e' })).toEqualTypeOf<
    IronflowEvent<{ by: string }>
  >();
  expectTypeOf(await step.invoke<{ total: number }>('f', { a: 1 })).toEqualTypeOf<{ total: number }>();
  expectTypeOf(await step.invokeAsync('f')).toEqualTypeOf<{ readonly runId: string }>();
  expectTypeOf(step.sleep('s', '1h')).toEqualTypeOf<Promise<void>>();
  // @ts-expect-error a sleep needs a duration
  step.sleep('s');
});

test('functions of different data go together into a worker and an endpoint', () => {
  const a = createFunction({ id: 'a', triggers: [], schema: z.object({ a: z.string() }) }, async () => 1);
  const b = createFunction({ id: 'b', triggers: [] }, async () => 'b');
  expectTypeOf(a).toExtend<IronflowFunction<{ a: string }, number>>();
  expectTypeOf(createWorker).toBeCallableWith({ functions: [a as IronflowFunction, b] });
  createWorker({ functions: [a, b] });
  const handler = serve({ functions: [a, b] });
  expectTypeOf(handler(new Request('http://localhost/'))).toEqualTypeOf<Promise<Response>>();
});

const placed = defineEvent({
  name: 'order.placed',
  version: 2,
  schema: z.object({ id: z.string(), n: z.number().default(1) }),
});
const moved = defineEvent({ name: 'order.moved', version: 1, schema: z.object({ to: z.string() }) });
const loose = defineEvent({ name: 'order.loose', version: 1 });
type Placed = { id: string; n: number };

test('a definition in the place of a name brings the type of the data', async () => {
  createFunction({ id: 'f', triggers: [{ event: placed }] }, ({ event }) => {
    expectTypeOf(event.data).toEqualTypeOf<Placed>();
    expectTypeOf(event.name).toBeString();
  });
  expectTypeOf(await step.waitForEvent('w', { event: placed, timeout: '1h' })).toEqualTypeOf<IronflowEvent<Placed>>();
  expectTypeOf((await step.waitForEvent('w', { event: 'order.placed' })).data).toBeAny();
  const client = createClient();
  await client.emit(placed, { id: 'x' });
  await client.emit('order.placed', { anything: 1 });
  await client.emit(loose, 5, { idempotencyKey: 'k' });
  // @ts-expect-error the schema wants an id
  await client.emit(placed, { n: 1 });
  // @ts-expect-error and data at all
  await client.emit(placed);
  // @ts-expect-error the same when its result is waited for
  await client.emitSync(placed, { n: 1 });
});

test('several definitions are told apart by the name of the event', () => {
  createFunction({ id: 'f', triggers: [{ event: placed }, { event: moved }] }, ({ event }) => {
    if (event.name === 'order.placed') expectTypeOf(event.data).toEqualTypeOf<Placed>();
    else expectTypeOf(event.data).toEqualTypeOf<{ to: string }>();
    // @ts-expect-error no such event comes
    expectTypeOf(event.name === 'order.lost');
  });
});

test('a schema goes before definitions, and a name among them leaves the data open', () => {
  createFunction({ id: 'f', triggers: [{ event: placed }], schema: z.object({ own: z.boolean() }) }, ({ event }) => {
    expectTypeOf(event.data).toEqualTypeOf<{ own: boolean }>();
  });
  createFunction({ id: 'f', triggers: [{ event: placed }, { event: 'other' }] }, ({ event }) => {
    expectTypeOf(event.data).toBeAny();
  });
  createFunction({ id: 'f', triggers: [{ event: placed }, { cron: '0 * * * *' }] }, ({ event }) => {
    expectTypeOf(event.data).toBeAny();
  });
  createFunction({ id: 'f', triggers: [{ event: loose }] }, ({ event }) => {
    expectTypeOf(event.data).toBeAny();
  });
});

test('functions of defined events go together with others', () => {
  const a = createFunction({ id: 'a', triggers: [{ event: placed }, { event: moved }] }, async () => 1);
  const b = createFunction({ id: 'b', triggers: [{ event: loose }] }, async () => 'b');
  const eventDefinitions = createEventDefinitionRegistry();
  eventDefinitions.register(placed);
  createWorker({ functions: [a, b], eventDefinitions });
  serve({ functions: [a, b], eventDefinitions });
});
