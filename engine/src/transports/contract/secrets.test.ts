// Secrets for workers and endpoints of the published SDK: where the contract has them, and gone from what they report.

import { expect, test } from 'vitest';
import { ContractEngine, PublishedWorker, PushEndpoint, pullFunction, pushFunction, step } from './published-sdk.ts';
import { PublishedStreamingWorker } from './published-streaming.ts';

const value = 'sk_live_"0123"';
const secretKeys = ['a'.repeat(64)];

async function open(): Promise<ContractEngine> {
  const engine = await ContractEngine.open({ secretKeys });
  expect((await engine.call('POST', '/api/v1/secrets', { name: 'KEY', value })).status).toBe(201);
  expect((await engine.call('POST', '/api/v1/secrets', { name: 'OTHER', value: 'not for them' })).status).toBe(201);
  return engine;
}

/** All that the engine tells of the run. */
async function told(engine: ContractEngine, runId: string): Promise<string> {
  const parts = await Promise.all(
    ['', '/steps'].map(async (path) => (await engine.call('GET', `/api/v1/runs/${runId}${path}`)).text),
  );
  return parts.join();
}

test('a polling worker finds them in the context of its job', async () => {
  const engine = await open();
  const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go', { secrets: ['KEY', 'MISSING'] })]);
  const runId = await engine.start('go');
  const job = await worker.take();
  expect(job.context).toEqual({ secrets: { KEY: value } });
  await worker.completed(job, { key: value }, [step(runId, 'leak', `key=${encodeURIComponent(value)}`)]);
  expect(await engine.until(runId, 'completed')).toMatchObject({ output: { key: '***' } });
  expect(await told(engine, runId)).not.toContain('0123');
});

test('a streaming worker finds them in the context of its job', async () => {
  const engine = await open();
  await engine.registerFunction({ id: 'f', triggers: [{ event: 'go' }], preferredMode: 'pull', secrets: ['KEY'] });
  const worker = new PublishedStreamingWorker(engine, ['f']);
  const runId = await engine.start('go');
  const job = await worker.job();
  expect(job.context).toMatchObject({ secrets: { KEY: value } });
  worker.completed(job, { key: value });
  expect(await engine.until(runId, 'completed')).toMatchObject({ output: { key: '***' } });
});

test('an endpoint finds them in the request, and what it answers in any form is without them', async () => {
  const engine = await open();
  const endpoint = await PushEndpoint.open();
  await engine.registerFunction(pushFunction('f', 'go', endpoint.url, { secrets: ['KEY'] }));
  const runId = await engine.start('go');
  const call = await endpoint.next();
  expect(call.invocation.secrets).toEqual({ KEY: value });
  call.reply(200, { status: 'completed', steps: [step(runId, 'leak', [value])], result: { key: value } });
  expect(await engine.until(runId, 'completed')).toMatchObject({ output: { key: '***' } });

  for (const answer of [`no JSON: ${value}`, { [value]: value }]) {
    const failed = await engine.start('go');
    (await endpoint.next()).reply(200, answer as object);
    await engine.until(failed, 'failed');
    expect(await told(engine, failed)).not.toContain('0123');
  }
  const refused = await engine.start('go');
  (await endpoint.next()).reply(404, { error: { message: `no function for ${value}` } });
  await engine.until(refused, 'failed');
  expect(await told(engine, refused)).not.toContain('0123');
  expect(await told(engine, refused)).toContain('***');
});

test('who declares none gets none', async () => {
  const engine = await open();
  const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
  await engine.start('go');
  expect((await worker.take()).context).toEqual({});
});
