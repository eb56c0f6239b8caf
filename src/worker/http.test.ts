import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Http } from './http.ts';

test('an engine that keeps its connection and does not answer is given up, and a new connection is made', async () => {
  let connections = 0;
  const server = createServer((_request, response) => {
    if (connections > 1) response.end('{"ok":true}'); // the first one is frozen
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const http = new Http({ serverUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, headers: {} });
  onTestFinished(() => http.close());
  const { signal } = new AbortController();
  await expect(http.call('POST', '/reports', '{}', signal, 50)).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  expect(await http.call('POST', '/reports', '{}', signal, 5_000)).toMatchObject({ status: 200 });
});
