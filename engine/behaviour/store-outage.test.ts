// Workers and endpoints of an engine that is alone, while its store is away for a moment: what they were at is stored when it is back.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LocalEngine } from '@ironflow/core/wire';
import { parseFunctionRegistration } from '@ironflow/core/wire';
import { expect, onTestFinished, test } from 'vitest';
import { registrationOf } from '../../src/function/index.ts';
import { createFunction, createWorker, type IronflowFunction, serve } from '../../src/index.ts';
import { Engine } from '../src/engine.ts';
import { systemClock } from '../src/ports/clock.ts';
import { createIds } from '../src/ports/ids.ts';
import { silentLogger } from '../src/ports/logger.ts';
import { events } from '../src/store/tables.ts';
import { eventually } from '../src/test-support/eventually.ts';
import { FailingStore } from '../src/test-support/failing-store.ts';
import { env } from '../src/test-support/index.ts';

async function open() {
  const store = new FailingStore();
  const engine = new Engine({ store, clock: systemClock, ids: createIds(), logger: silentLogger });
  await store.migrate();
  await engine.start();
  onTestFinished(() => engine.close());
  const local: LocalEngine = {
    registerFunction: (environment, registration) =>
      engine.registerFunction(environment, parseFunctionRegistration(registration)),
    connectWorker: (environment, hello, handlers) => engine.workers.connect(environment, hello, handlers),
    fetch: () => Promise.reject(new Error('nobody calls')),
  };
  const emit = async (name: string): Promise<string> => {
    const rest = { version: 1, metadata: null, idempotencyKey: null, source: null, runId: null };
    const { runIds } = await engine.emit({ env, name, data: '{}' as never, ...rest }); // JSON text
    return runIds[0] ?? '';
  };
  const ended = (runId: string) =>
    eventually(
      () => engine.getRun(env, runId),
      ({ endedAt }) => endedAt !== undefined,
    );
  return { store, engine, local, emit, ended };
}

type Parts = Awaited<ReturnType<typeof open>>;

async function work({ local }: Parts, fn: IronflowFunction, keeps = true) {
  const config = { functions: [fn], engine: local, logger: false, warmExecutions: keeps && { max: 1 } } as const;
  const worker = createWorker(config);
  const working = worker.start();
  await worker.ready;
  onTestFinished(() => worker.stop().then(() => working));
  return worker;
}

test('what a worker in the process of the engine reports is stored then, and no attempt is lost', async () => {
  const parts = await open();
  const calls: string[] = [];
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
    await step.run('a', () => {
      calls.push('a');
      begun.resolve();
      return gate.promise;
    });
    return step.run('b', () => calls.push('b'));
  });
  await work(parts, fn);
  const runId = await parts.emit('go');
  await begun.promise;
  const refused = parts.store.beAway();
  gate.resolve();
  await eventually(refused, (count) => count > 2);
  parts.store.comeBack();
  expect(await parts.ended(runId)).toMatchObject({ status: 'completed', output: 2, attempt: 1 });
  expect(calls).toEqual(['a', 'b']);
});

test('a worker in the process of the engine that was offered a continuation it does not keep asks until it has the whole', async () => {
  const parts = await open();
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step, run }) => {
    const { data } = await step.waitForEvent('answer', { event: `answer.${run.id}`, timeout: '1h' });
    return data;
  });
  await work(parts, fn);
  const first = await parts.emit('go');
  const waiting = (runId: string) =>
    eventually(
      () => parts.engine.getRun(env, runId),
      ({ status }) => status === 'waiting',
    );
  await waiting(first);
  await waiting(await parts.emit('go')); // it is kept in place of the first
  parts.store.failScan(events); // which only the whole has need of
  const result = parts.engine.result(env, first, 20_000);
  await parts.emit(`answer.${first}`);
  expect(await result).toMatchObject({ status: 'completed', attempt: 1 });
});

test('what an endpoint answered is stored then, and no attempt is lost', async () => {
  const parts = await open();
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
    step.run('a', () => {
      begun.resolve();
      return gate.promise.then(() => 'done');
    }),
  );
  const handler = serve({ functions: [fn], logger: false, skipVerification: true });
  const server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const registration = registrationOf(fn, { mode: 'push', endpointUrl, codeHash: '' });
  await parts.engine.registerFunction(env, parseFunctionRegistration(registration));
  const runId = await parts.emit('go');
  await begun.promise;
  const refused = parts.store.beAway();
  gate.resolve();
  await eventually(refused, (count) => count > 2);
  parts.store.comeBack();
  expect(await parts.ended(runId)).toMatchObject({ status: 'completed', output: 'done', attempt: 1 });
});

test('a worker that leaves while the store is away gives back what it held then', async () => {
  const parts = await open();
  const begun = Promise.withResolvers<void>();
  let isFirst = true;
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
    step.run('a', () => {
      if (!isFirst) return 'done';
      isFirst = false;
      begun.resolve();
      return new Promise(() => {});
    }),
  );
  const worker = createWorker({ functions: [fn], engine: parts.local, logger: false });
  const working = worker.start();
  await worker.ready;
  const runId = await parts.emit('go');
  await begun.promise;
  parts.store.beAway();
  await expect(worker.stop()).rejects.toThrow('away');
  await expect(working).rejects.toThrow('away');
  parts.store.comeBack();
  await work(parts, fn);
  expect(await parts.ended(runId)).toMatchObject({ status: 'completed', output: 'done' });
});
