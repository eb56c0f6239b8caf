// The streaming worker against a real engine, whose port is closed and opened again under it.

import { createServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { createEngine } from '../../../engine/src/main.ts';
import { certificate, key } from '../../../engine/src/test-support/certificate.ts';
import { temporaryDirectory } from '../../../engine/src/test-support/index.ts';
import { createClient } from '../../client/index.ts';
import { createFunction } from '../../function/index.ts';
import { systemTurns } from '../../turns.ts';
import { createStreamingWorker } from '../../worker-streaming.ts';
import { Connection } from './connection.ts';

async function open() {
  const { path, remove } = temporaryDirectory();
  let engine = await createEngine({ dataDir: path });
  const { port, url } = await engine.listen({ port: 0 });
  onTestFinished(async () => {
    await engine.close();
    remove();
  });
  return {
    serverUrl: url,
    closeEngine: () => engine.close(),
    async openEngine() {
      engine = await createEngine({ dataDir: path });
      await engine.listen({ port });
    },
  };
}

test('goes on while the engine is away, and nothing that was done is done again', async () => {
  const { serverUrl, closeEngine, openEngine } = await open();
  const calls: string[] = [];
  const started = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<string>();
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
    await step.run('before', () => void calls.push('before'));
    const a = await step.run('during', () => {
      calls.push('during');
      started.resolve();
      return gate.promise;
    });
    await step.sleep('a moment', 5);
    return step.run('after', () => {
      calls.push('after');
      return `${a}!`;
    });
  });
  const worker = createStreamingWorker({ functions: [fn], serverUrl, logger: false, reconnectDelay: 20 });
  const working = worker.start();
  await worker.ready;
  const client = createClient({ serverUrl });
  const { runIds } = await client.emit('go', {});
  await started.promise;
  await closeEngine();
  gate.resolve('done');
  await openEngine();
  const { output } = await client.waitForRun(runIds[0] ?? '');
  expect(output).toBe('done!');
  expect(calls).toEqual(['before', 'during', 'after']);
  await worker.stop();
  await working;
});

test('that drains ends what it has begun, hands back what it has not, and takes no more', async () => {
  const { serverUrl } = await open();
  const started = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const who = (name: string) =>
    createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) =>
      step.run('a', async () => {
        started.resolve();
        await gate.promise;
        return name;
      }),
    );
  const first = createStreamingWorker({ functions: [who('first')], serverUrl, logger: false, maxConcurrentJobs: 1 });
  const firstWorking = first.start();
  await first.ready;
  const client = createClient({ serverUrl });
  const { runIds } = await client.emit('go', {});
  await started.promise;
  const draining = first.drain();
  const second = createStreamingWorker({ functions: [who('second')], serverUrl, logger: false });
  const secondWorking = second.start();
  await second.ready;
  const later = client.emitSync('go', {});
  gate.resolve();
  expect((await client.waitForRun(runIds[0] ?? '')).output).toBe('first');
  expect((await later).output).toBe('second');
  await draining;
  await firstWorking;
  await second.stop();
  await secondWorking;
});

/** What stands before an engine and speaks TLS: passes on what it decrypts, as it is. Returns its address, and what ALPN came to. */
async function serveTls(engineUrl: string): Promise<{ readonly serverUrl: string; readonly protocols: Set<unknown> }> {
  const protocols = new Set<unknown>();
  const server = createTlsServer({ key, cert: certificate, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
    protocols.add(socket.alpnProtocol);
    const inner = connect({ host: '127.0.0.1', port: Number(new URL(engineUrl).port) });
    for (const one of [socket, inner]) one.on('error', () => {});
    socket.on('close', () => inner.destroy());
    inner.on('close', () => socket.destroy());
    socket.pipe(inner).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { serverUrl: `https://localhost:${(server.address() as AddressInfo).port}`, protocols };
}

test('works over TLS, and not with a certificate that nobody trusts', async () => {
  const { serverUrl: inner } = await open();
  const { serverUrl, protocols } = await serveTls(inner);
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async ({ step }) => {
    const a = await step.run('a', () => 1);
    await step.sleep('a moment', 5);
    return a + (await step.run('b', () => 2));
  });
  const before = getCACertificates('default');
  onTestFinished(() => setDefaultCACertificates(before));
  await expect(connectTo(serverUrl).closed).rejects.toMatchObject({
    code: 'CONNECTION_LOST',
    message: expect.stringContaining('self-signed certificate'),
  });
  setDefaultCACertificates([...before, certificate]);
  const worker = createStreamingWorker({ functions: [fn], serverUrl, logger: false });
  const working = worker.start();
  await worker.ready;
  expect(protocols).toContain('h2');
  const { output } = await createClient({ serverUrl }).emitSync('go', {});
  expect(output).toBe(3);
  await worker.drain();
  await working;
});

test('ends when its key is refused', async () => {
  const engine = await createEngine({ store: 'memory', apiKeys: ['right'] });
  const { url } = await engine.listen({ port: 0 });
  onTestFinished(() => engine.close());
  const worker = createStreamingWorker({ functions: [], serverUrl: url, apiKey: 'wrong', logger: false });
  await expect(worker.start()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

async function serveStreams(answer: (stream: ServerHttp2Stream) => void): Promise<string> {
  const server = createServer();
  server.on('stream', answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const connectTo = (serverUrl: string) =>
  new Connection({
    serverUrl,
    headers: {},
    register: new Uint8Array(),
    turns: systemTurns,
    registered: () => {},
    received: () => {},
  });

test.each([404, 501])('an engine that answers %i knows no streams, and the error says what to do', async (status) => {
  const serverUrl = await serveStreams((stream) => {
    stream.respond({ ':status': status });
    stream.end();
  });
  await expect(connectTo(serverUrl).closed).rejects.toMatchObject({
    code: 'STREAMING_NOT_SUPPORTED',
    message: expect.stringContaining('polling'),
  });
});

test.each([
  ['ends the stream', (stream: ServerHttp2Stream) => stream.end()],
  ['breaks the stream', (stream: ServerHttp2Stream) => stream.close(2)],
  ['cuts the connection', (stream: ServerHttp2Stream) => stream.session?.destroy()],
  ['sends noise', (stream: ServerHttp2Stream) => stream.write(Buffer.from([0, 0, 0, 0, 2, 255, 255]))],
])('an engine that %s may be tried again', async (_what, act) => {
  const serverUrl = await serveStreams((stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'application/connect+proto' });
    act(stream);
  });
  await expect(connectTo(serverUrl).closed).rejects.not.toMatchObject({ code: 'STREAMING_NOT_SUPPORTED' });
});
