// Environments of one engine do not meet: not in functions, events, runs, waits, keys, workers or secrets.

import { expect, onTestFinished, test } from 'vitest';
import { createClient, createFunction, createWorker, type IronflowClient } from '../../src/index.ts';
import { createStreamingWorker } from '../../src/worker-streaming.ts';
import { createEngine } from '../src/main.ts';
import { secretKeys } from './transports.ts';

const environments = ['default', 'staging'] as const;

async function open(kind: 'in-process' | 'polling' | 'streaming') {
  const engine = await createEngine({ store: 'memory', secretKeys });
  onTestFinished(() => engine.close());
  const { url: serverUrl } = await engine.listen({ port: 0 });
  const clients = {} as Record<(typeof environments)[number], IronflowClient>;
  for (const environment of environments) {
    await engine.engine.setSecret(environment, 'WHERE', `secret-of-${environment}`);
    clients[environment] = createClient({ serverUrl, environment });
    const fn = createFunction(
      { id: 'same', triggers: [{ event: 'go' }], secrets: ['WHERE'] },
      async ({ event, step, secrets }) => {
        const came = await step.waitForEvent('answer', { event: 'answer', match: 'data.key', timeout: '1h' });
        const called = await step.invoke<string>('child');
        return [environment, secrets.get('WHERE').length, event.data.key, came.data.from, called];
      },
    );
    const child = createFunction({ id: 'child', triggers: [] }, async () => `child of ${environment}`);
    const own = createFunction({ id: `only-${environment}`, triggers: [{ event: 'other' }] }, async () => environment);
    const config = { functions: [fn, child, own], environment, logger: false } as const;
    const worker =
      kind === 'streaming'
        ? createStreamingWorker({ ...config, serverUrl })
        : createWorker({ ...config, ...(kind === 'polling' ? { serverUrl } : { engine }) });
    const working = worker.start();
    onTestFinished(() => worker.stop().then(() => working));
    await worker.ready;
  }
  return clients;
}

test.each(['in-process', 'polling', 'streaming'] as const)('over %s', async (kind) => {
  const { default: one, staging: two } = await open(kind);
  const started = await Promise.all(
    [one, two].map((client) => client.emit('go', { key: 'k' }, { idempotencyKey: 'the-same' })),
  );
  const [first = '', second = ''] = started.flatMap(({ runIds }) => runIds);
  expect(started.map(({ runIds }) => runIds.length)).toEqual([1, 1]);
  expect(first).not.toBe(second);

  // An event of one is no answer to a wait of the other.
  await two.emit('answer', { key: 'k', from: 'two' });
  const ended = await two.waitForRun(second);
  expect(ended.output).toEqual(['staging', 'secret-of-staging'.length, 'k', 'two', 'child of staging']);
  expect(await one.getRun(first)).not.toHaveProperty('endedAt');
  await one.emit('answer', { key: 'k', from: 'one' });
  expect((await one.waitForRun(first)).output).toEqual([
    'default',
    'secret-of-default'.length,
    'k',
    'one',
    'child of default',
  ]);

  // Nothing of one can be seen, cancelled or called from the other.
  await expect(two.getRun(first)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  await expect(two.getRunSteps(first)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  await expect(two.cancelRun(first)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  await expect(two.waitForRun(first)).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  for (const [client, name, other] of [
    [one, 'default', second],
    [two, 'staging', first],
  ] as const) {
    expect((await client.listFunctions()).map(({ id }) => id).sort()).toEqual(['child', `only-${name}`, 'same']);
    expect(await client.listWorkers()).toHaveLength(1);
    const { runs, totalCount } = await client.listRuns();
    expect(totalCount).toBe(2);
    expect(runs.map(({ id }) => id)).not.toContain(other);
    expect((await client.emitSync('other')).output).toBe(name);
  }
});
