import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { CheckpointQueue } from './checkpoint-queue.ts';

/** An engine that answers calls as it is told, and shows what came. */
async function open(answer: (reports: readonly { n: number }[]) => Promise<number> | number) {
  const calls: number[][] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { reports } = JSON.parse(Buffer.concat(chunks).toString()) as { reports: { n: number }[] };
    calls.push(reports.map(({ n }) => n));
    const status = await answer(reports);
    const answers = reports.map(({ n }) =>
      n < 0
        ? { status: 'error', code: 'VALIDATION_ERROR', message: 'no', retryable: false }
        : { status: 'accepted', ended: n === 7, retries: [], resolutions: [] },
    );
    response.writeHead(status).end(JSON.stringify({ answers }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const queue = new CheckpointQueue(url, () => ({}));
  return { calls, queue, send: (n: number) => queue.send(`{"n":${n}}`) };
}

test('what comes up in a turn goes in one call, and what comes up meanwhile in the next', async () => {
  const first = Promise.withResolvers<void>();
  const { calls, queue, send } = await open(async ([report]) => {
    if (report?.n === 1) await first.promise;
    return 200;
  });
  const early = [send(1), send(2)];
  while (calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const late = [send(3), send(7)];
  expect(queue.isIdle).toBe(false);
  first.resolve();
  expect(
    (await Promise.all([...early, ...late])).map((answer) => answer.status === 'accepted' && answer.ended),
  ).toEqual([false, false, false, true]);
  expect(calls).toEqual([
    [1, 2],
    [3, 7],
  ]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(queue.isIdle).toBe(true);
});

test('a report that is refused does not touch the others', async () => {
  const { send } = await open(() => 200);
  const [good, bad] = await Promise.allSettled([send(1), send(-1)]);
  expect(good).toMatchObject({ status: 'fulfilled' });
  expect(bad).toMatchObject({ reason: { code: 'VALIDATION_ERROR', retryable: false } });
});

test('of a call that is refused as a whole each report is sent alone', async () => {
  const { calls, send } = await open((reports) => (reports.some(({ n }) => n === 666) ? 413 : 200));
  const results = await Promise.allSettled([send(1), send(666), send(2)]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(calls).toEqual([[1, 666, 2], [1], [666], [2]]);
});

test.each([503, 0])('an engine that is away (%i) fails all of a call, to be sent again', async (status) => {
  const { queue, send } = await open(() => status);
  const target = status === 0 ? new CheckpointQueue('http://127.0.0.1:1/', () => ({})) : queue;
  const results = await Promise.allSettled(status === 0 ? [target.send('{}'), target.send('{}')] : [send(1), send(2)]);
  expect(results).toMatchObject([{ reason: { retryable: true } }, { reason: { retryable: true } }]);
});
