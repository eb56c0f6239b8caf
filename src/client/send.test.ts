import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Sent, send } from './send.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.unstubAllGlobals();
  for (const close of closers.splice(0)) await close();
});

async function serverThat(handler: Handler) {
  let connections = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => handler(request, response, body));
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo; // it listens
  const post = (path: string, body?: string, timeoutMs = 10_000): Sent => ({
    method: 'POST',
    url: `http://127.0.0.1:${port}${path}`,
    headers: { 'content-type': 'application/json', 'x-one': 'two' },
    body,
    timeoutMs,
  });
  return { post, connections: () => connections };
}

const echo: Handler = ({ method, url, headers }, response, body) => {
  response.statusCode = 201;
  response.end(JSON.stringify({ method, url, one: headers['x-one'], body }));
};

type Send = typeof send;

/** As in a browser: no process with built-in modules, and node:http was never found. */
async function withoutNode(): Promise<Send> {
  vi.resetModules();
  const fresh = await import('./send.ts');
  vi.stubGlobal('process', { ...process, getBuiltinModule: undefined });
  return fresh.send;
}

describe.each([
  ['over node:http', async (): Promise<Send> => send],
  ['with fetch', withoutNode],
])('a request %s', (_, prepare) => {
  test('carries method, path, headers and body, and brings status and text', async () => {
    const { post } = await serverThat(echo);
    const send = await prepare();
    const { status, text } = await send(post('/a/b?c=ä', 'ünïcödé'));
    expect(status).toBe(201);
    expect(JSON.parse(text)).toEqual({ method: 'POST', url: '/a/b?c=%C3%A4', one: 'two', body: 'ünïcödé' });
  });

  test('follows where it is led, with its body', async () => {
    const { post } = await serverThat((request, response, body) => {
      if (request.url !== '/old') return echo(request, response, body);
      response.writeHead(308, { location: '/new' });
      response.end();
    });
    const send = await prepare();
    const { text } = await send(post('/old', 'x'));
    expect(JSON.parse(text)).toMatchObject({ method: 'POST', url: '/new', body: 'x' });
  });

  test('is given up when the answer does not come in time, or not whole', async () => {
    const { post } = await serverThat((request, response) => {
      if (request.url === '/begun') response.write('{');
    });
    const send = await prepare();
    for (const path of ['/silent', '/begun'])
      await expect(send(post(path, '', 50))).rejects.toMatchObject({ name: 'NoAnswerError' });
  });

  test('fails when the answer breaks off', async () => {
    const { post } = await serverThat((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{');
      setImmediate(() => response.destroy());
    });
    const send = await prepare();
    await expect(send(post('/'))).rejects.not.toMatchObject({ name: 'NoAnswerError' });
  });
});

test('without node:http, fetch is what is used', async () => {
  const { post } = await serverThat(echo);
  const spy = vi.spyOn(globalThis, 'fetch');
  await send(post('/'));
  expect(spy).not.toHaveBeenCalled();
  await (await withoutNode())(post('/'));
  expect(spy).toHaveBeenCalledOnce();
  spy.mockRestore();
});

test('requests share connections', async () => {
  const { post, connections } = await serverThat(echo);
  for (let i = 0; i < 5; i++) await send(post('/'));
  expect(connections()).toBe(1);
});
