// 1,000 functions that hand out a secret in ways of their own, over every transport and both stores: afterwards the value is
// nowhere, in none of its forms: not in what is stored, not in what was logged, not in what the engine answers.

import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { registrationOf } from '../../src/function/index.ts';
import {
  type AuditEntry,
  createClient,
  createFunction,
  createWorker,
  type FunctionContext,
  type IronflowClient,
  type IronflowFunction,
  NonRetryableError,
  type RegisterFunctionRequest,
  RunStateError,
  serve,
} from '../../src/index.ts';
import { Random } from '../simulation/random.ts';
import { createEngine, type EmbeddedEngine } from '../src/main.ts';
import { openPostgresStore } from '../src/store/postgres/index.ts';
import { tables } from '../src/store/tables.ts';
import { temporaryDirectory } from '../src/test-support/index.ts';
import { startPostgres } from '../src/test-support/postgres.ts';
import { secretKeys, setSecret } from './transports.ts';

/** A thousand in all; fewer where each takes longer. */
const COUNTS = { 'in-process': 250, polling: 225, streaming: 225, push: 225, postgres: 75 } as const;
const SEED = 5;

/** Long enough that no form of it turns up by chance, with what each encoding writes in another way. */
const secretOf = (transport: string) => `sk/${transport}+"q=${'9f8e7d6c5b4a'}"\\ü &%'${'z1y2x3w4'}`;

type Write = (secret: string) => string;
const writes: readonly Write[] = [
  (secret) => secret,
  (secret) => `Bearer ${secret}.`,
  (secret) => JSON.stringify({ secret }),
  (secret) => JSON.stringify(JSON.stringify([secret])),
  (secret) => `https://x.test/${encodeURIComponent(secret)}`,
  (secret) => new URLSearchParams({ secret }).toString(),
  (secret) => encodeURIComponent(JSON.stringify({ secret })),
  (secret) => Buffer.from(secret).toString('base64'),
  (secret) => `Basic ${Buffer.from(`user:${secret}`).toString('base64')}`,
  (secret) => Buffer.from(`${secret}:x`).toString('base64url'),
  (secret) => Buffer.from(`ab${JSON.stringify({ secret })}`).toString('base64'),
  (secret) => Buffer.from(secret).toString('hex'),
  (secret) => inspect({ deep: [secret] }),
];

type Shape = (text: string) => unknown;
const shapes: readonly Shape[] = [
  (text) => text,
  (text) => [[text]],
  (text) => ({ headers: { authorization: text } }),
  (text) => ({ [text]: true }),
  (text) => ({ toJSON: () => ({ text }) }),
  (text) => Array.from({ length: 20 }, (_, i) => ({ i, text: i === 13 ? text : 'no' })),
  (text) => `${'padding '.repeat(200)}${text}`,
];

type Way = (leak: unknown, text: string, context: FunctionContext) => Promise<unknown>;
const fail = (error: unknown): never => {
  throw error;
};
const ways: readonly Way[] = [
  async (leak) => leak,
  async (leak, _, { step }) => step.run('output', () => leak),
  async (leak, _, { step }) => {
    await step.run('output', () => leak);
    await step.sleep('nap', 1);
    return step.run('again', () => leak);
  },
  async (leak, _, { step }) => step.parallel('p', [(s) => s.run('one', () => leak), async () => leak]),
  async (leak, _, { step }) => step.map('m', [1, 2], async (item, s) => s.run('one', () => [item, leak])),
  async (_, text, { step }) => step.run('throws', () => fail(new NonRetryableError(text))),
  async (_, text, { step }) => step.run('throws', () => fail(new Error(text))).catch((error: Error) => error.message),
  async (_, text, { step }) => step.run('throws', () => fail(text)).catch(() => 'caught'),
  async (leak, text, { step }) =>
    step
      .run('throws', () =>
        fail(new NonRetryableError('no', { code: text, details: { leak } as Record<string, unknown> })),
      )
      .catch((error: Error) => ({ ...error })),
  async (_, text) => fail(new NonRetryableError(text)),
  async (_, text) => fail(Object.assign(new TypeError('no'), { name: text, stack: `Error\n    at ${text}` })),
  async (_, text, { run }) => (run.attempt === 1 ? fail(new Error(text)) : 'second'),
  async (_, text) => fail(new NonRetryableError('outer', { cause: new Error(text) })),
  async (leak, _, { step }) => step.invoke('echo', leak),
  async (leak, _, { step }) => step.invokeAsync('echo', { leak }),
  async (_, text, { step }) => step.invoke('throws', { text }).catch((error: Error) => error.message),
  async (_, text, { step }) => step.run(`named ${text}`, () => 1),
  async (_, text, { step }) => step.sleep(text.slice(0, 250), 1),
  async (_, text, { step }) =>
    step.waitForEvent('w', { event: 'never', match: `data.x == ${JSON.stringify(text)}`, timeout: 1 }),
  async (_, text, { step }) => step.waitForEvent('w', { event: text, timeout: 1 }),
  async (_, text, { step }) => step.invoke(text, {}),
  async (leak, _, { step }) => step.publish('leaks', { leak }),
  async (_, text, { step }) => step.publish(`topic.${text}`, {}),
  async (leak, text, { step }) => {
    await step.run('undone', () => 1);
    step.compensate('undone', async () => leak);
    return step.run('throws', () => fail(new NonRetryableError(text)));
  },
  async (leak, text, { logger }) => {
    logger.info(text, leak);
    logger.error('it failed', new Error(text), { leak }, new Map([[text, leak]]));
    return 'logged';
  },
];

const generated = (prefix: string, count: number): IronflowFunction[] => {
  const random = new Random(SEED);
  return Array.from({ length: count }, (_, i) => {
    const [write, shape] = [random.pick(writes), random.pick(shapes)];
    const way = ways[i % ways.length] as Way; // within it
    return createFunction(
      {
        id: `${prefix}-${i}`,
        triggers: [{ event: `leak.${prefix}.${i}` }],
        secrets: ['KEY'],
        recording: true,
        retry: { maxAttempts: 2, initialDelayMs: 1 },
      },
      async (context) => {
        const text = write(context.secrets.get('KEY'));
        return way(shape(text), text, context);
      },
    );
  });
};

const helpers = [
  createFunction({ id: 'echo', triggers: [] }, async ({ event, step }) => step.run('echo', () => event.data)),
  createFunction({ id: 'throws', triggers: [] }, async ({ event }) => fail(new NonRetryableError(event.data.text))),
];

/** Every form that the value could be found in, and telling parts of these. */
const formsOf = (secret: string): string[] => {
  const inBase64 = [0, 1, 2].map((n) =>
    Buffer.from('x'.repeat(n) + secret)
      .toString('base64')
      .slice(8, -8),
  );
  const parts = ['9f8e7d6c5b4a', 'z1y2x3w4', Buffer.from('9f8e7d6c5b4a').toString('hex')];
  return [...parts, ...inBase64, ...inBase64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))];
};

interface Leaks {
  readonly runIds: readonly string[];
  readonly logged: string;
  readonly answered: string;
}

/** Runs every function, and asks the engine for all there is to know of the runs. */
async function leakAll(
  engine: EmbeddedEngine,
  client: IronflowClient,
  functions: readonly IronflowFunction[],
  log: readonly string[],
  secret: string,
): Promise<Leaks> {
  const started = await Promise.all(
    functions.map(({ config }) => client.emit(String(config.triggers[0]?.event), { n: 1 })),
  );
  const runIds = started.flatMap(({ runIds }) => runIds);
  expect(runIds).toHaveLength(functions.length);
  const answers: unknown[] = [];
  const ended = async (runId: string) => {
    const run = await client.waitForRun(runId, { timeout: 60_000 });
    expect(run.endedAt, `run ${runId} of ${run.functionId} has ended: ${run.status}`).toBeDefined();
    answers.push(run, await client.getRunSteps(runId));
  };
  await Promise.all(runIds.map(ended));
  answers.push(...(await leakByOperations(client, runIds, secret)));
  answers.push(...(await Promise.all(runIds.map((runId) => client.getRun(runId, { steps: true })))));
  answers.push(await auditOf(client));
  answers.push(await client.listRuns({ limit: 1_000 }), await client.listFunctions(), await client.listWorkers());
  answers.push(await (await engine.fetch('/api/v1/secrets', { method: 'GET' })).text());
  return { runIds, logged: log.join('\n'), answered: JSON.stringify(answers) };
}

/** Somebody who knows the secret gives it to runs, in every form, wherever people can give them something. */
async function leakByOperations(client: IronflowClient, runIds: readonly string[], secret: string): Promise<unknown[]> {
  const answers: unknown[] = [];
  const operate = async (runId: string, i: number) => {
    const text = (writes[i % writes.length] as Write)(secret); // within it
    const leak = (shapes[i % shapes.length] as Shape)(text); // within it
    const reason = `because of ${text}`;
    if (i % 5 === 0) {
      const again = await client.rerunRun(runId, { input: { text, leak }, reason });
      answers.push(again, await client.pauseRun(again.id, reason).catch(stateError));
      answers.push(await client.resumeRun(again.id, undefined, reason).catch(stateError));
      answers.push(await client.cancelRun(again.id, reason));
    }
    const { steps } = await client.getRunSteps(runId);
    const [step] = steps;
    if ((await client.getRun(runId)).status !== 'failed' || step === undefined) return;
    answers.push(await client.patchStep(step.id, leak, reason));
    answers.push(await client.retryRun(runId, undefined, reason), await client.cancelRun(runId, reason));
  };
  await Promise.all(runIds.map(operate));
  expect(answers.length).toBeGreaterThan(runIds.length / 2);
  return answers;
}

/** What an operation comes to that is too late. */
const stateError = (error: unknown): unknown => {
  if (!(error instanceof RunStateError)) throw error;
  return { ...error, message: error.message };
};

async function auditOf(client: IronflowClient): Promise<unknown[]> {
  const entries: AuditEntry[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await client.getAuditTrail(undefined, { limit: 1_000, ...(cursor !== undefined && { cursor }) });
    entries.push(...page.entries);
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  const types = new Set(entries.map(({ eventType }) => eventType));
  for (const type of ['step.completed', 'step.failed', 'run.failed', 'run.rerun', 'step.patched', 'run.restarted'])
    expect(types).toContain(type);
  return entries;
}

const writer = (log: string[]) => {
  const write = (...line: unknown[]) => void log.push(inspect(line, { depth: 20, maxStringLength: null }));
  return { debug: write, info: write, warn: write, error: write };
};

function expectNothing(leaks: Leaks, stored: string, secret: string): void {
  expect(leaks.answered).toContain('***');
  expect(leaks.logged).toContain('***');
  expect(leaks.answered).toContain('SECRET_IN_NAME');
  const found = formsOf(secret).flatMap((form) =>
    Object.entries({ stored, logged: leaks.logged, answered: leaks.answered }).flatMap(([where, text]) => {
      const at = text.indexOf(form);
      return at < 0 ? [] : [`${where}: ${text.slice(Math.max(0, at - 100), at + 100)}`];
    }),
  );
  expect(found).toEqual([]);
}

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serveOn(
  functions: readonly IronflowFunction[],
  client: IronflowClient,
  logger: ReturnType<typeof writer>,
) {
  const handler = serve({ functions, logger, skipVerification: true });
  const server = createServer((request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/ironflow`;
  for (const fn of functions) {
    const { preferredMode, ...registration } = registrationOf(fn, { mode: 'push', endpointUrl, codeHash: '' });
    await client.registerFunction({ ...registration, preferredMode: 'push' } as RegisterFunctionRequest);
  }
}

describe.each(Object.keys(COUNTS) as (keyof typeof COUNTS)[])('functions that leak a secret, %s', (kind) => {
  test(`leave nothing of it behind`, { timeout: 180_000 }, async () => {
    const secret = secretOf(kind);
    const log: string[] = [];
    const logger = writer(log);
    const functions = generated(kind, COUNTS[kind]);
    const directory = temporaryDirectory();
    cleanUps.push(() => directory.remove());
    const server = kind === 'postgres' ? await startPostgres() : undefined;
    if (server !== undefined) cleanUps.push(() => server.stop());
    const url = server && (`${server.url}?schema=${server.freshSchema()}` as `postgres://${string}`);
    const engine = await createEngine({ dataDir: directory.path, store: url, secretKeys, logger });
    const { url: serverUrl } = await engine.listen({ port: 0 });
    await setSecret(engine, 'KEY', secret);
    const client = createClient({ serverUrl });

    const worker = createWorker({
      functions: kind === 'push' ? helpers : [...functions, ...helpers],
      ...(kind === 'polling' || kind === 'streaming' ? { serverUrl, transport: kind } : { engine }),
      logger,
      maxConcurrentJobs: 50,
    });
    const working = worker.start();
    await worker.ready;
    if (kind === 'push') await serveOn(functions, client, logger);
    const leaks = await leakAll(engine, client, functions, log, secret);
    await worker.stop();
    await working;
    await engine.close();

    if (url === undefined) {
      const files = readdirSync(directory.path).map((name) => readFileSync(join(directory.path, name)));
      expect(Buffer.concat(files).includes('leak.')).toBe(true);
      expectNothing(leaks, Buffer.concat(files).toString('latin1'), secret);
      return;
    }
    const store = openPostgresStore({ url });
    const rows: unknown[] = [];
    for (const table of tables)
      for (const { row } of await store.scan({ table, limit: Number.MAX_SAFE_INTEGER })) rows.push(row);
    await store.close();
    expect(rows.length).toBeGreaterThan(functions.length);
    expectNothing(leaks, JSON.stringify(rows), secret);
  });
});
