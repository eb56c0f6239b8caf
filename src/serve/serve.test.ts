// What an endpoint answers to requests that no engine of ours sends, in both of its forms.

import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFunction } from '../function/index.ts';
import { serve } from './index.ts';

const fn = createFunction({ id: 'f', triggers: [{ event: 'e' }] }, async ({ event }) => ({ got: event.data }));
const invocation = (fields: Readonly<Record<string, unknown>> = {}) => ({
  run_id: 'run_1',
  function_id: 'f',
  attempt: 1,
  event: { id: 'evt_1', name: 'e', data: { n: 1 }, timestamp: '2027-01-01T00:00:00Z' },
  steps: [],
  ...fields,
});

const handler = serve({ functions: [fn], signingKey: ['old key', 'new key'], logger: false });
const open = serve({ functions: [fn], skipVerification: true, logger: false });

type Send = (which: 'signed' | 'open', init: RequestInit & { body?: string }) => Promise<Response>;

const sign = (body: string, key: string) => `sha256=${createHmac('sha256', key).update(body).digest('hex')}`;

const server = createServer((request, response) => {
  void (request.url === '/open' ? open : handler)(request, response);
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const byFetch: Send = (which, init) =>
  (which === 'open' ? open : handler)(new Request(`http://localhost/${which}`, { method: 'POST', ...init }));
const byNode: Send = (which, init) =>
  fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${which}`, { method: 'POST', ...init });

describe.each([
  ['Fetch', byFetch],
  ['node:http', byNode],
] as const)('an endpoint on %s', (_name, send) => {
  const said = async (response: Response) => [
    response.status,
    ((await response.json()) as { error?: { code: string } }).error?.code,
  ];

  test('executes what is signed with one of its keys', async () => {
    const body = JSON.stringify(invocation());
    for (const key of ['old key', 'new key']) {
      const response = await send('signed', { body, headers: { 'x-ironflow-signature': sign(body, key) } });
      expect(response.headers.get('content-type')).toContain('application/json');
      expect([response.status, await response.json()]).toMatchObject([
        200,
        { status: 'completed', result: { got: { n: 1 } } },
      ]);
    }
  });

  test.each([
    ['none', undefined, 'SIGNATURE_MISSING'],
    ['of another key', sign(JSON.stringify(invocation()), 'another'), 'SIGNATURE_INVALID'],
    ['of another body', sign('{}', 'new key'), 'SIGNATURE_INVALID'],
    ['that is cut', sign(JSON.stringify(invocation()), 'new key').slice(0, -2), 'SIGNATURE_INVALID'],
    ['that is no hex', `sha256=${'z'.repeat(64)}`, 'SIGNATURE_INVALID'],
  ])('refuses a signature: %s', async (_what, signature, code) => {
    const headers = signature === undefined ? {} : { 'x-ironflow-signature': signature };
    expect(await said(await send('signed', { body: JSON.stringify(invocation()), headers }))).toEqual([401, code]);
  });

  test('looks at nothing of a body before its signature', async () => {
    expect(await said(await send('signed', { body: '{"not json' }))).toEqual([401, 'SIGNATURE_MISSING']);
  });

  test.each([
    ['another method', { method: 'PUT', body: '{}' }, 405, 'METHOD_NOT_ALLOWED'],
    ['no JSON', { body: '{"half' }, 400, 'INVALID_JSON'],
    ['an empty body', { body: '' }, 400, 'INVALID_JSON'],
    ['a field of the wrong type', { body: JSON.stringify(invocation({ attempt: 'one' })) }, 400, 'VALIDATION_ERROR'],
    ['an unknown function', { body: JSON.stringify(invocation({ function_id: 'g' })) }, 404, 'FUNCTION_NOT_FOUND'],
    ['nesting without end', { body: `${'['.repeat(100_000)}${']'.repeat(100_000)}` }, 400, undefined],
  ])('answers %s with its status', async (_what, init, status, code) => {
    const [gotStatus, gotCode] = await said(await send('open', init));
    expect(gotStatus).toBe(status);
    if (code !== undefined) expect(gotCode).toBe(code);
  });

  test('takes no more than its limit', async () => {
    const body = JSON.stringify(invocation({ padding: 'x'.repeat(40 * 1024 * 1024) }));
    expect(await said(await send('open', { body }))).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });

  test('answers a function that throws with 200 and its failure', async () => {
    const throwing = createFunction({ id: 'f', triggers: [] }, async () => {
      throw new Error('not today');
    });
    const own = serve({ functions: [throwing], skipVerification: true, logger: false });
    const response = await own(
      new Request('http://localhost/', { method: 'POST', body: JSON.stringify(invocation()) }),
    );
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { status: 'failed', error: { message: 'not today', retryable: true } },
    ]);
  });
});
