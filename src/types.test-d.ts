// Types that users rely on.

import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  createFunction,
  createWorker,
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
