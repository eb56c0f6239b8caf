// Runs what the pages of docs/reference/steps/ show. The example of each page is taken from the page as it stands, and its functions run
// on an engine with a SQLite database; the shop that they call is a server that notes each call. Each runs twice: by a worker that
// keeps suspended executions, and by one that replays them.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine } from '@ironflow/engine';
import * as ironflow from '@ironflow/node';
import ts from 'typescript';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { snippetsOf } from '../../scripts/check-doc-snippets.ts';

const folder = new URL('../../docs/reference/steps/', import.meta.url);
const pages = readdirSync(folder).filter((file) => file.endsWith('.md'));
const modulesOf = (page: string) => snippetsOf(page, readFileSync(new URL(page, folder), 'utf8'));

const requireHere = createRequire(import.meta.url);
const require = (name: string): unknown => (name === '@ironflow/node' ? ironflow : requireHere(name));

/** Runs a module of a page; what its blocks that readers do not see only declare comes as `given`. */
function evaluate(text: string, given: Record<string, unknown> = {}): Record<string, unknown> {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2024 },
  });
  const exports: Record<string, unknown> = {};
  const code = `return (async () => { ${outputText}\n})()`;
  const done = new Function('require', 'exports', ...Object.keys(given), code)(
    require,
    exports,
    ...Object.values(given),
  ) as Promise<void>;
  return { ...exports, done, exports };
}

interface Call {
  readonly path: string;
  readonly key: string | undefined;
  readonly body: unknown;
}

/** What a shop answers; default: an id made of the idempotency key. */
type Answer = (call: Call, sameBefore: number) => { readonly status: number; readonly body?: unknown } | undefined;

class Shop {
  readonly calls: Call[] = [];
  atOnce = 0;
  mostAtOnce = 0;

  async open(answer: Answer): Promise<string> {
    const server = createServer(async (request, response) => {
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
      const call: Call = {
        path: `${request.method} ${request.url}`,
        key: request.headers['idempotency-key'] as string | undefined, // Node joins what comes twice
        body: await bodyOf(request),
      };
      const sameBefore = this.calls.filter(({ path, key }) => path === call.path && key === call.key).length;
      this.calls.push(call);
      // What is to come at the same time has come by then.
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      const { status, body = {} } = answer(call, sameBefore) ?? { status: 200, body: { id: `for ${call.key}` } };
      this.atOnce--;
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  get paths(): string[] {
    return this.calls.map(({ path }) => path);
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? undefined : JSON.parse(text);
}

interface World {
  readonly client: ironflow.IronflowClient;
  readonly shop: Shop;
  /** Emits, and waits for the run that this starts. */
  outcome(event: string, data: unknown): Promise<ironflow.Run>;
  started(event: string, data: unknown): Promise<string>;
}

async function worldWith(functions: readonly ironflow.IronflowFunction[], shop: Shop, warm: boolean): Promise<World> {
  const dataDir = mkdtempSync(join(tmpdir(), 'ironflow-pages-'));
  const engine = await createEngine({ dataDir });
  const worker = ironflow.createWorker({ engine, functions, logger: false, ...(!warm && { warmExecutions: false }) });
  const working = worker.start();
  onTestFinished(async () => {
    await worker.stop();
    await working;
    await engine.close();
    rmSync(dataDir, { recursive: true });
  });
  await worker.ready;
  const client = ironflow.createClient({ engine });
  const started = async (event: string, data: unknown) => {
    const { runIds } = await client.emit(event, data);
    expect(runIds).toHaveLength(1);
    return runIds[0] ?? '';
  };
  return { client, shop, started, outcome: async (event, data) => client.waitForRun(await started(event, data)) };
}

interface Scenario {
  readonly env?: Record<string, string>;
  readonly answer?: Answer;
  /** Has the page's example do what the page says of it. */
  readonly example: (world: World) => Promise<void>;
  /** For the page's other snippets: the data of their event, and what else is emitted. */
  readonly data?: unknown;
  readonly emits?: readonly (readonly [name: string, data: unknown])[];
}

const waitsFor = (client: ironflow.IronflowClient, runId: string, name: string) =>
  vi.waitFor(async () => {
    const { waits } = await client.getRun(runId, { steps: true });
    expect(waits.map((wait) => wait.name)).toContain(name);
  }, 10_000);

const scenarios: Readonly<Record<string, Scenario>> = {
  'run.md': {
    answer: ({ body }, sameBefore) => {
      const { amount } = body as { amount: number };
      if (amount > 1_000) return { status: 402 };
      return sameBefore === 0 ? { status: 503 } : undefined;
    },
    async example({ outcome, shop, client }) {
      const paid = await outcome('order.placed', { orderId: 'o1', amount: 40 });
      const key = `${paid.id}:charge:0`;
      expect(paid.output).toEqual({ paid: true, chargeId: `for ${key}` });
      expect(shop.calls.map((call) => call.key)).toEqual([key, key]);
      const declined = await outcome('order.placed', { orderId: 'o2', amount: 4_000 });
      expect(declined.output).toEqual({ paid: false, because: 'The card was declined.' });
      expect(shop.calls).toHaveLength(3);
      const { steps } = await client.getRunSteps(paid.id);
      expect(steps.map(({ attempt }) => attempt)).toEqual([2]);
    },
    data: { orderId: 'o1', amount: 40, iban: 'DE02' },
  },
  'sleep.md': {
    env: { TRIAL: '200ms' },
    async example({ outcome, shop }) {
      const before = Date.now();
      const renewsAt = new Date(before + 500).toISOString();
      const run = await outcome('user.signed-up', { email: 'ada@example.com', renewsAt });
      expect(run.status).toBe('completed');
      expect(Date.now()).toBeGreaterThanOrEqual(before + 500);
      expect(shop.calls.map(({ body }) => (body as { template: string }).template)).toEqual([
        'welcome',
        'trial-over',
        'renewal',
      ]);
    },
    data: { paidAt: '2026-01-31T09:00:00Z' },
  },
  'wait-for-event.md': {
    async example({ outcome, started, client }) {
      expect((await outcome('order.placed', { orderId: 'o1', amount: 40 })).output).toMatchObject({ by: 'rule' });
      const runId = await started('order.placed', { orderId: 'o2', amount: 4_000 });
      await waitsFor(client, runId, 'approval');
      await client.emit('order.approved', { orderId: 'o3', by: 'bob', granted: false });
      await client.emit('order.approved', { orderId: 'o2', by: 'alice', granted: true });
      const approved = await client.waitForRun(runId);
      expect(approved.output).toEqual({ orderId: 'o2', approved: true, by: 'alice' });
      const late = await outcome('order.placed', { orderId: 'o4', amount: 4_000, answerWithin: '50ms' });
      expect(late.output).toEqual({ orderId: 'o4', approved: false, by: 'nobody' });
    },
    data: { orderId: 'o1' },
    emits: [
      ['payment.received', { orderId: 'o1', amount: 100 }],
      ['payment.received', { orderId: 'o1', amount: 200.5 }],
      ['order.shipped', { orderId: 'o1', carrier: 'north' }],
    ],
  },
  'wait-for-any.md': {
    async example({ outcome, started, client }) {
      const paid = await started('order.placed', { orderId: 'o1' });
      const cancelled = await started('order.placed', { orderId: 'o2' });
      await waitsFor(client, paid, 'outcome');
      await client.emit('order.paid', { orderId: 'o1', amount: 40 });
      await client.emit('order.cancelled', { orderId: 'o2', reason: 'too dear' });
      expect((await client.waitForRun(paid)).output).toEqual({ orderId: 'o1', ship: true, amount: 40 });
      expect((await client.waitForRun(cancelled)).output).toMatchObject({ ship: false, because: 'too dear' });
      const late = await outcome('order.placed', { orderId: 'o3', holdFor: 50 });
      expect(late.output).toMatchObject({ ship: false, because: 'nobody has paid' });
    },
  },
  'invoke.md': {
    async example({ outcome, client }) {
      const answered = await outcome('quote.requested', { sku: 'rare-1', count: 2, from: 'ada@example.com' });
      const { total, mailedBy } = answered.output as { total: number; mailedBy: string };
      expect(total).toBe(500);
      expect((await client.waitForRun(mailedBy)).output).toBe('To ada@example.com: 500');
      const refused = await outcome('quote.requested', { sku: 'rare-1', count: -2, from: 'ada@example.com' });
      expect(refused.output).toMatchObject({ total: -60 });
    },
  },
  'publish.md': {
    async example({ outcome, client }) {
      const run = await outcome('import.requested', { rows: 25, batchSize: 10 });
      expect(run.output).toMatchObject({ rows: 25, announcedAs: expect.stringMatching(/^msg_/) });
      expect(await client.getTopicStats('import-progress')).toMatchObject({ messageCount: 3 });
      expect(await client.getTopicStats('import-results')).toMatchObject({ messageCount: 1 });
    },
  },
  'compensate.md': {
    answer: ({ path }) => (path === 'POST /payments?days=90' ? { status: 402 } : { status: 200, body: { id: 'f7' } }),
    async example({ outcome, shop, client }) {
      expect((await outcome('trip.requested', { tripId: 't1', days: 5 })).output).toEqual({
        tripId: 't1',
        flight: 'f7',
      });
      shop.calls.splice(0);
      const failed = await outcome('trip.requested', { tripId: 't2', days: 90 });
      expect(failed).toMatchObject({ status: 'failed', error: { message: 'The card was declined.' } });
      expect(shop.paths.slice(-2)).toEqual(['DELETE /hotels/by-trip/t2', 'DELETE /flights/f7']);
      const { steps } = await client.getRunSteps(failed.id);
      expect(steps.slice(-2).map(({ name }) => name)).toEqual(['compensate:hotel', 'compensate:flight']);
    },
  },
  'parallel.md': {
    answer: ({ path }) => {
      if (path.startsWith('GET /ratings')) return { status: 500 };
      if (path === 'GET /stock/none') return { status: 404 };
      return { status: 200, body: { left: 3, price: 10, factor: 0.5 } };
    },
    async example({ outcome }) {
      const offer = await outcome('offer.requested', { sku: 's1', customerId: 'c1' });
      expect(offer.output).toEqual({ sku: 's1', left: 3, price: 5, stars: null });
      const none = await outcome('offer.requested', { sku: 'none', customerId: 'c1' });
      expect(none).toMatchObject({ status: 'failed', error: { message: 'There is no offer for none now.' } });
    },
  },
  'map.md': {
    answer: ({ body }) => ((body as { sku: string }).sku === 'bent' ? { status: 500 } : undefined),
    async example({ outcome, shop }) {
      const items = ['a', 'b', 'bent', 'c', 'd'].map((sku) => ({ sku, count: 1 }));
      const packed = await outcome('order.paid', { items });
      expect(packed.output).toEqual({ packed: 4, missing: ['bent'] });
      expect(shop.mostAtOnce).toBeLessThanOrEqual(2);
    },
  },
};

test('every page has an example, and every primitive a page', () => {
  expect(Object.keys(scenarios).sort()).toEqual(pages.toSorted());
  const text = pages.map((page) => modulesOf(page)[0]?.text).join('\n');
  const primitives = ['run', 'sleep', 'sleepUntil', 'waitForEvent', 'waitForAny', 'invoke', 'invokeAsync'];
  for (const name of [...primitives, 'publish', 'compensate', 'parallel', 'map'])
    expect(text, name).toMatch(new RegExp(`\\bstep\\.${name}[<(]`));
});

describe.each(pages)('%s', (page) => {
  const { env = {}, answer = () => undefined, example, data = {}, emits = [] } = scenarios[page] as Scenario; // see above
  const [first, ...others] = modulesOf(page);

  test.each([
    ['kept in memory', true],
    ['replayed', false],
  ])('its example does what the page says, %s', async (_, warm) => {
    const shop = new Shop();
    vi.stubEnv('SHOP_URL', await shop.open(answer));
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const { exports } = evaluate(first?.text ?? '');
    vi.unstubAllEnvs();
    const functions = Object.values(exports as Record<string, ironflow.IronflowFunction>);
    expect(functions.length).toBeGreaterThan(0);
    await example(await worldWith(functions, shop, warm));
  });

  test.runIf(others.length > 0)('its other snippets run, one after the other', async () => {
    const snippets = ironflow.createFunction({ id: 'snippets', triggers: [{ event: 'start' }] }, async (context) => {
      for (const { text } of others) await evaluate(text, { step: context.step, event: context.event })['done'];
    });
    const { client, started } = await worldWith([snippets], new Shop(), false);
    const runId = await started('start', data);
    for (const [name, fields] of emits) await client.emit(name, fields);
    const run = await client.waitForRun(runId);
    expect(run, JSON.stringify(run.error ?? run.why)).toMatchObject({ status: 'completed' });
    expect((await client.getRunSteps(runId)).steps.length).toBeGreaterThan(0);
  });
});
