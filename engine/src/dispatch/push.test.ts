import { parseFunctionRegistration } from '@ironflow/core/wire';
import { expect, test } from 'vitest';
import { createFunction, registrationOf } from '../../../src/function/index.ts';
import { functions, sessions } from '../store/tables.ts';
import { FailingStore } from '../test-support/failing-store.ts';
import { env, openTestEngine, type TestEngine } from '../test-support/index.ts';

function register({ engine }: TestEngine, id: string) {
  const fn = createFunction({ id, triggers: [{ event: id }] }, async () => id);
  const registration = registrationOf(fn, { mode: 'push', endpointUrl: `http://127.0.0.1:9/${id}`, codeHash: '' });
  return engine.registerFunction(env, parseFunctionRegistration(registration));
}

const served = async ({ engine }: TestEngine) =>
  (await engine.listWorkers(env)).map(({ function_ids }) => function_ids).sort();

test('an endpoint that could not be taken up is taken up when the store is back, and does not keep others from it', async () => {
  const store = new FailingStore();
  const harness = await openTestEngine({ store });
  store.failCommit(sessions, 'before');
  await register(harness, 'first');
  await harness.clock.settle();
  expect(await served(harness)).toEqual([]);
  await harness.clock.advance(1_000);
  expect(await served(harness)).toEqual([['first']]);
  await register(harness, 'second');
  await harness.clock.settle();
  expect(await served(harness)).toEqual([['first'], ['second']]);
});

test('a push function is served also when nobody heard that its registration was stored', async () => {
  const store = new FailingStore();
  const harness = await openTestEngine({ store });
  store.failCommit(functions, 'after');
  await expect(register(harness, 'f')).rejects.toThrow('the answer was lost');
  expect(await register(harness, 'f')).toMatchObject({ changed: false });
  await harness.clock.advance(100);
  expect(await served(harness)).toEqual([['f']]);
});
