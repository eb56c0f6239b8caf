// A step costs the same however many came before it: only what is new travels and is stored.

import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { expect, test } from 'vitest';
import { createClient, createFunction, createWorker, serve } from '../../src/index.ts';
import { createEngine } from '../src/main.ts';
import { temporaryDirectory } from '../src/test-support/index.ts';

interface Sample {
  readonly bytes: number;
  readonly reads: number;
  readonly commits: number;
}

/** A TCP proxy that counts what passes in both directions. */
async function openCountingProxy(targetPort: () => number) {
  const count = { bytes: 0 };
  const server = createTcpServer((client) => {
    const target = connect(targetPort(), '127.0.0.1');
    const pass = (from: typeof client, to: typeof client) => {
      from.on('data', (chunk) => {
        count.bytes += chunk.length;
        to.write(chunk);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
    };
    pass(client, target);
    pass(target, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { count, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

for (const transport of ['polling', 'streaming', 'push'] as const) {
  test(`over ${transport}, step 1,000 of a run costs in bytes, rows read and commits what step 10 costs`, async () => {
    const directory = temporaryDirectory();
    let port = 0;
    const proxy = await openCountingProxy(() => port);
    const engine = await createEngine({ dataDir: directory.path, push: { publicUrl: proxy.url } });
    const listening = await engine.listen({ port: 0 });
    port = listening.port;
    const samples: Sample[] = [];
    const fn = createFunction({ id: 'long', triggers: [{ event: 'go' }] }, async ({ step }) => {
      for (let i = 0; i < 1_010; i++) {
        await step.run('step', () => {
          const { reads, commits } = engine.engine.stats;
          samples.push({ bytes: proxy.count.bytes, reads, commits });
          return { i, ok: true };
        });
      }
      return 'done';
    });
    const client = createClient({ serverUrl: listening.url });
    const stops: (() => unknown)[] = [];
    if (transport !== 'push') {
      const worker = createWorker({ functions: [fn], serverUrl: proxy.url, transport, logger: false });
      const working = worker.start();
      stops.push(() => worker.stop().then(() => working));
      await worker.ready;
    } else {
      const handler = serve({ functions: [fn], logger: false, skipVerification: true });
      const server = createHttpServer((request, response) => void handler(request, response));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      stops.push(() => {
        server.closeAllConnections();
        server.close();
      });
      const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      await client.registerFunction({ id: 'long', triggers: [{ event: 'go' }], endpointUrl });
    }
    expect(await client.emitSync('go', {}, { timeout: 60_000 })).toMatchObject({ status: 'completed', output: 'done' });

    // Windows of ten steps: a poll or a heartbeat in one of them weighs little.
    const window = (from: number) => {
      const [first, last] = [samples[from], samples[from + 10]];
      if (first === undefined || last === undefined) throw new Error('too few samples');
      return {
        bytes: (last.bytes - first.bytes) / 10,
        reads: (last.reads - first.reads) / 10,
        commits: (last.commits - first.commits) / 10,
      };
    };
    const early = window(5);
    const late = window(999);
    expect(early.bytes).toBeGreaterThan(100);
    expect(late.bytes / early.bytes).toBeLessThan(1.2);
    expect(late.reads).toBeLessThanOrEqual(early.reads + 0.2);
    expect(late.commits).toBeLessThanOrEqual(early.commits + 0.5);
    for (const stop of stops) await stop();
    await engine.close();
    proxy.close();
    directory.remove();
  });
}
