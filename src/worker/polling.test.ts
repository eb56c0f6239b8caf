// A worker and what it makes of the engine's answers, over a real socket.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createFunction } from '../function/index.ts';
import { createWorker } from './index.ts';

const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async () => 1);

/** An engine that answers a call with what `answer` says of its path, and everything else with an empty object. */
async function fakeEngine(answer: (path: string) => { readonly status: number; readonly body?: unknown } | undefined) {
  const calls: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    calls.push(path);
    const { status, body = {} } = answer(path) ?? { status: 200 };
    response.writeHead(status, { 'content-type': 'application/json' }).end(status === 204 ? '' : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { calls, serverUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const open = (serverUrl: string) => createWorker({ functions: [fn], serverUrl, logger: false, reconnectDelay: 20 });

test.each([
  [
    'a function',
    /RegisterFunction$/,
    { code: 'invalid_argument', message: 'wrong', error_code: 'VALIDATION_ERROR', error_details: { field: 'x' } },
    'FUNCTION_REGISTRATION_FAILED',
  ],
  [
    'the worker',
    /register$/,
    { error: 'wrong', code: 'VALIDATION_ERROR', details: { field: 'x' } },
    'REGISTRATION_FAILED',
  ],
])('ends, and tells why, when %s is refused for good', async (_what, path, body, code) => {
  const { calls, serverUrl } = await fakeEngine((called) => (path.test(called) ? { status: 400, body } : undefined));
  const worker = open(serverUrl);
  const error = {
    code,
    status: 400,
    retryable: false,
    message: expect.stringContaining('wrong'),
    details: { code: 'VALIDATION_ERROR', field: 'x' },
    cause: expect.objectContaining({ code: 'VALIDATION_ERROR' }),
  };
  await Promise.all([
    expect(worker.start()).rejects.toMatchObject(error),
    expect(worker.ready).rejects.toMatchObject(error),
  ]);
  expect(calls.filter((called) => path.test(called))).toHaveLength(1);
});

test.each([404, 409, 429, 500, 503])(
  'registers again when it is answered %i, and is ready when it is taken',
  async (status) => {
    let refusals = 3;
    const { calls, serverUrl } = await fakeEngine((path) => {
      if (/register$/.test(path)) return refusals-- > 0 ? { status } : undefined;
      return /jobs/.test(path) ? { status: 204 } : undefined;
    });
    const worker = open(serverUrl);
    const working = worker.start();
    await worker.ready;
    expect(calls.filter((path) => /register$/.test(path))).toHaveLength(4);
    await worker.stop();
    await working;
  },
);

test('that is stopped before it is registered is never ready', async () => {
  const { serverUrl } = await fakeEngine(() => ({ status: 503 }));
  const worker = open(serverUrl);
  const working = worker.start();
  await worker.stop();
  await working;
  await expect(worker.ready).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('that nobody asks whether it is ready fails by start() alone', async () => {
  const worker = createWorker({ functions: [fn], serverUrl: 'no address', logger: false });
  await expect(worker.start()).rejects.toThrow();
  await expect(worker.ready).rejects.toThrow();
});

test('with more functions than a worker may have is not made', () => {
  const functions = Array.from({ length: 1_001 }, (_, i) =>
    createFunction({ id: `f${i}`, triggers: [] }, async () => 1),
  );
  expect(() => createWorker({ functions })).toThrow(/at most 1000/);
});
