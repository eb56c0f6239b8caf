// A worker that stops: the signals of what it had under way abort, and another worker goes on at once.

import { expect, onTestFinished, test } from 'vitest';
import { createClient, createFunction, createWorker, type StepContext } from '../../src/index.ts';
import { createEngine } from '../src/main.ts';

test.each(['in-process', 'polling'] as const)('over %s', async (kind) => {
  const engine = await createEngine({ store: 'memory' });
  onTestFinished(() => engine.close());
  const { url: serverUrl } = await engine.listen({ port: 0 });
  const begun = Promise.withResolvers<StepContext>();
  const make = (body: (context: StepContext) => unknown) =>
    createWorker({
      functions: [
        createFunction({ id: 'long', triggers: [{ event: 'long' }] }, async ({ step }) => {
          await step.run('first', () => 'first');
          return step.run('long', body);
        }),
      ],
      logger: false,
      ...(kind === 'polling' ? { serverUrl } : { engine }),
    });
  const first = make((context) => {
    begun.resolve(context);
    return new Promise(() => {});
  });
  const working = first.start();
  await first.ready;
  const client = createClient({ serverUrl });
  const { runIds } = await client.emit('long');
  const context = await begun.promise;
  expect(context.signal.aborted).toBe(false);
  await first.stop();
  await working;
  expect(context.signal.aborted).toBe(true);
  expect(String(context.signal.reason)).toContain('the worker has stopped');

  const second = make(({ idempotencyKey }) => idempotencyKey);
  const workingToo = second.start();
  expect(await client.waitForRun(runIds[0] ?? '')).toMatchObject({
    status: 'completed',
    output: context.idempotencyKey,
  });
  await second.stop();
  await workingToo;
});
