// The reference's chapters on event versions, errors and environment variables.

import { createEventDefinitionRegistry, createUpcasterRegistry, defineEvent } from '@ironflow/core';
import * as sdk from '@ironflow/node';
import {
  createClient,
  createFunction,
  createWorker,
  isIronflowError,
  isRetryable,
  NonRetryableError,
} from '@ironflow/node';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { outcome, startWith, startWithKey } from './test-support/index.ts';

test('versions of an event, each lifted from the one before', async () => {
  const v1 = defineEvent({ name: 'order.placed', version: 1 });
  const v2 = defineEvent({
    name: 'order.placed',
    version: 2,
    upcast: (data) => ({
      ...(data as Record<string, unknown>),
      currency: (data as Record<string, unknown>)['currency'] ?? 'USD',
    }),
  });
  const v3 = defineEvent({
    name: 'order.placed',
    version: 3,
    upcast: (data) => {
      const d = data as Record<string, unknown>;
      return { ...d, amount: d['total'] ?? d['amount'], total: undefined };
    },
  });
  const registry = createEventDefinitionRegistry();
  registry.register(v1);
  registry.register(v2);
  registry.register(v3);

  const { client, serverUrl } = await startWith();
  const fn = createFunction({ id: 'f', triggers: [{ event: 'order.placed' }] }, async ({ event }) => event.data);
  const worker = createWorker({ serverUrl, functions: [fn], eventDefinitions: registry, logger: false });
  const working = worker.start();
  await worker.ready;
  expect(await outcome(client, 'order.placed', { total: 5 })).toMatchObject({ output: { amount: 5, currency: 'USD' } });
  await worker.stop();
  await working;
});

test('upcasters by hand, whose chain must be complete', () => {
  const upcasters = createUpcasterRegistry();
  upcasters.register('order.placed', 1, 2, (data) => ({ ...(data as Record<string, unknown>), currency: 'USD' }));
  upcasters.register('order.placed', 2, 3, (data) => {
    const d = data as Record<string, unknown>;
    return { ...d, amount: d['total'], total: undefined };
  });
  expect(upcasters.upcast('order.placed', { total: 5 }, 1, 3)).toEqual({
    currency: 'USD',
    amount: 5,
    total: undefined,
  });
  const gap = createUpcasterRegistry();
  gap.register('order.placed', 2, 3, (data) => data);
  expect(() => gap.upcast('order.placed', {}, 1, 3)).toThrow(/from version 1/);
});

describe('errors', () => {
  test.each([
    sdk.IronflowError,
    sdk.StepError,
    sdk.TimeoutError,
    sdk.ValidationError,
    sdk.SchemaValidationError,
    sdk.SignatureError,
    sdk.FunctionNotFoundError,
    sdk.RunNotFoundError,
    sdk.NonRetryableError,
    sdk.UnauthenticatedError,
    sdk.UnauthorizedError,
    sdk.EnterpriseRequiredError,
  ])('$name is exported, and has code, retryable and details', (Class) => {
    const error = new Class('x', { details: { a: 1 } });
    expect(error).toMatchObject({ code: expect.any(String), retryable: expect.any(Boolean), details: { a: 1 } });
    expect(isIronflowError(error)).toBe(true);
  });

  test('are told apart where they are caught, and NonRetryableError stops the retries', async () => {
    let calls = 0;
    const fn = createFunction({ id: 'f', triggers: [{ event: 'e' }] }, async ({ step }) => {
      try {
        await step.run('api-call', async () => {
          calls++;
          throw new NonRetryableError('Payment declined, do not retry');
        });
      } catch (error) {
        return [
          isRetryable(error),
          isIronflowError(error) && error.code,
          error instanceof sdk.StepError && error.stepName,
        ];
      }
      return undefined;
    });
    const { client } = await startWith(fn);
    expect(await outcome(client, 'e', {})).toMatchObject({ output: [false, 'STEP_FAILED', 'api-call'] });
    expect(calls).toBe(1);
  });

  test('of a call say what was asked for', async () => {
    const { client } = await startWith();
    await expect(client.getRun('run_nobody')).rejects.toBeInstanceOf(sdk.RunNotFoundError);
    await expect(client.emit('')).rejects.toBeInstanceOf(sdk.ValidationError);
  });
});

describe('environment variables', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('IRONFLOW_SERVER_URL and IRONFLOW_ENV say where clients and workers go', async () => {
    const { serverUrl } = await startWith();
    vi.stubEnv('IRONFLOW_SERVER_URL', serverUrl);
    vi.stubEnv('IRONFLOW_ENV', 'staging');
    const fn = createFunction({ id: 'f', triggers: [{ event: 'e' }] }, async () => 'staging');
    const worker = createWorker({ functions: [fn], logger: false });
    const working = worker.start();
    await worker.ready;
    expect(await outcome(createClient(), 'e', {})).toMatchObject({ output: 'staging' });
    expect((await createClient({ environment: 'default' }).emit('e')).runIds).toEqual([]);
    await worker.stop();
    await working;
  });

  test('IRONFLOW_API_KEY is sent by clients and workers', async () => {
    const { serverUrl } = await startWithKey('a-key');
    const fn = createFunction({ id: 'f', triggers: [{ event: 'e' }] }, async () => 'let in');
    await expect(createClient({ serverUrl }).emit('e')).rejects.toBeInstanceOf(sdk.UnauthenticatedError);
    vi.stubEnv('IRONFLOW_API_KEY', 'a-key');
    const worker = createWorker({ serverUrl, functions: [fn], logger: false });
    const working = worker.start();
    await worker.ready;
    expect(await outcome(createClient({ serverUrl }), 'e', {})).toMatchObject({ output: 'let in' });
    await worker.stop();
    await working;
  });

  test('IRONFLOW_SIGNING_KEY refuses requests that are not signed with it', async () => {
    const call = (handler: sdk.ServeHandler) => handler(new Request('http://x/', { method: 'POST', body: '{}' }));
    expect((await call(sdk.serve({ functions: [], logger: false }))).status).toBe(400);
    vi.stubEnv('IRONFLOW_SIGNING_KEY', 'a-key');
    expect((await call(sdk.serve({ functions: [], logger: false }))).status).toBe(401);
  });

  test.each([
    ['info', 1],
    ['error', 0],
  ])('IRONFLOW_LOG_LEVEL %s', async (level, lines) => {
    vi.stubEnv('IRONFLOW_LOG_LEVEL', level);
    const printed = vi.spyOn(console, 'info').mockImplementation(() => {});
    const { serverUrl } = await startWith();
    const worker = createWorker({ serverUrl, functions: [createFunction({ id: 'f', triggers: [] }, async () => 1)] });
    const working = worker.start();
    await worker.ready;
    const connected = printed.mock.calls.filter((call) => call.join(' ').includes('is connected to'));
    printed.mockRestore();
    expect(connected).toHaveLength(lines);
    await worker.stop();
    await working;
  });
});
