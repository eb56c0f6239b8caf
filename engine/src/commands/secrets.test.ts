import type { JsonText } from '@ironflow/core';
import { afterEach, describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import type { StepClient } from '../../../src/step/index.ts';
import { createEngine } from '../main.ts';
import { createSecretBox } from '../ports/secret-box.ts';
import { MemoryStore } from '../store/memory/index.ts';
import { attempts, events, runs, type SecretRow, secrets, steps, tables, waits } from '../store/tables.ts';
import { env, openTestEngine, type TestEngine, temporaryDirectory } from '../test-support/index.ts';

const key = (fill: string) => Buffer.alloc(32, fill).toString('base64');
const DAY = 86_400_000;

const open = (options: Parameters<typeof openTestEngine>[0] = {}) =>
  openTestEngine({ settings: { secretKeys: [key('a')] }, ...options });

const stored = async ({ store }: Pick<TestEngine, 'store'>): Promise<SecretRow[]> =>
  (await store.scan({ table: secrets, limit: 100 })).map(({ row }) => row);

/** A function that tells what it was given, past the engine. */
const reader = (names: readonly string[]) => {
  const seen: Record<string, string>[] = [];
  const fn = createFunction(
    { id: 'reader', triggers: [{ event: 'go' }], secrets: names },
    async ({ secrets: given }) => {
      seen.push(Object.fromEntries(names.flatMap((name) => (given.has(name) ? [[name, given.get(name)]] : []))));
    },
  );
  return { fn, seen };
};

describe('a secret', () => {
  test('is stored sealed, and listed without its value', async () => {
    const harness = await open();
    expect(await harness.engine.setSecret(env, 'STRIPE', 'sk_live_0123')).toMatchObject({
      created: true,
      secret: { name: 'STRIPE', revision: 1 },
    });
    const [row] = await stored(harness);
    expect(JSON.stringify(row)).not.toContain('sk_live_0123');
    expect(Buffer.from(row?.sealed ?? '', 'base64').includes('sk_live')).toBe(false);
    const listed = await harness.engine.listSecrets(env);
    expect(listed).toEqual([{ name: 'STRIPE', revision: 1, key_id: row?.keyId, updated_at: expect.any(String) }]);
  });

  test('is given to functions that declare it, with the value it has when their job begins', async () => {
    const harness = await open();
    const { fn, seen } = reader(['STRIPE', 'MISSING']);
    await harness.worker([fn]);
    await harness.engine.setSecret(env, 'STRIPE', 'sk_live_0001');
    await harness.engine.setSecret(env, 'UNDECLARED', 'sk_live_9999');
    await harness.emit('go');
    await harness.clock.settle();
    expect(await harness.engine.setSecret(env, 'STRIPE', 'sk_live_0002')).toMatchObject({
      created: false,
      secret: { revision: 2 },
    });
    await harness.emit('go');
    await harness.clock.settle();
    expect(await harness.engine.removeSecret(env, 'STRIPE')).toBe(true);
    expect(await harness.engine.removeSecret(env, 'STRIPE')).toBe(false);
    await harness.emit('go');
    await harness.clock.settle();
    expect(seen).toEqual([{ STRIPE: 'sk_live_0001' }, { STRIPE: 'sk_live_0002' }, {}]);
    expect(await harness.engine.listSecrets(env)).toMatchObject([{ name: 'UNDECLARED' }]);
  });

  test("is its environment's own", async () => {
    const harness = await open();
    const { fn, seen } = reader(['STRIPE']);
    await harness.worker([fn]);
    await harness.engine.setSecret('staging', 'STRIPE', 'sk_test_0001');
    await harness.emit('go');
    await harness.clock.settle();
    expect(seen).toEqual([{}]);
    expect(await harness.engine.listSecrets(env)).toEqual([]);
    expect(await harness.engine.removeSecret(env, 'STRIPE')).toBe(false);
    expect(await harness.engine.listSecrets('staging')).toHaveLength(1);
  });

  test('that was replaced or removed is looked for in reports for 30 days, and then gone', async () => {
    const harness = await open();
    const fn = createFunction({ id: 'leak', triggers: [{ event: 'go' }], secrets: ['STRIPE'] }, async ({ step }) =>
      step.run('leak', () => 'sk_live_0001 sk_live_0002'),
    );
    await harness.worker([fn]);
    await harness.engine.setSecret(env, 'STRIPE', 'sk_live_0001');
    await harness.engine.setSecret(env, 'STRIPE', 'sk_live_0002');
    await harness.engine.removeSecret(env, 'STRIPE');
    const leak = async () => {
      const { runIds } = await harness.emit('go');
      await harness.clock.settle();
      return (await harness.engine.getRun(env, runIds[0] ?? '')).output;
    };
    expect(await leak()).toBe('*** ***');
    await harness.clock.advance(29 * DAY);
    expect(await leak()).toBe('*** ***');
    await harness.clock.advance(2 * DAY);
    expect(await stored(harness)).toEqual([]);
    expect(await leak()).toBe('sk_live_0001 sk_live_0002');
    await harness.engine.close();
  });

  test('cannot be set without a key, nor under a key of another length', async () => {
    const harness = await openTestEngine();
    await expect(harness.engine.setSecret(env, 'STRIPE', 'sk_live_0123')).rejects.toMatchObject({
      code: 'NOT_CONFIGURED',
      message: expect.stringContaining('IRONFLOW_SECRET_KEY'),
    });
    for (const wrong of ['', 'short', key('a').slice(4), 'not base64 at all, and long enough to be one!'])
      await expect(openTestEngine({ settings: { secretKeys: [wrong] } })).rejects.toMatchObject({
        code: 'VALIDATION_ERROR',
      });
    await openTestEngine({ settings: { secretKeys: ['0'.repeat(64)] } });
  });
});

describe('a sealed text', () => {
  const box = createSecretBox([Buffer.alloc(32, 'a')]);
  const sealed = box.seal('value', 'place');

  test('opens with its key, in its place', () => {
    expect(box.open(sealed, 'place')).toBe('value');
    expect(box.seal('value', 'place').sealed).not.toBe(sealed.sealed);
  });

  test('does not open in another place, with another key, or when a byte of it was changed', () => {
    expect(() => box.open(sealed, 'elsewhere')).toThrow();
    expect(() => createSecretBox([Buffer.alloc(32, 'b')]).open(sealed, 'place')).toThrow(/no key/);
    const bytes = Buffer.from(sealed.sealed, 'base64');
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => box.open({ ...sealed, sealed: changed.toString('base64') }, 'place')).toThrow();
    }
  });
});

describe('a key', () => {
  test('that is no longer first is not needed once an engine with the new one has started', async () => {
    const store = new MemoryStore();
    const first = await open({ store });
    await first.engine.setSecret(env, 'STRIPE', 'sk_live_0001');
    await first.engine.setSecret(env, 'STRIPE', 'sk_live_0002');
    await first.engine.close();
    const before = await stored({ store });

    await expect(open({ store, settings: { secretKeys: [key('b')] } })).rejects.toMatchObject({
      code: 'NOT_CONFIGURED',
      details: { secret: 'STRIPE', keyId: before[0]?.keyId },
    });
    await (await open({ store, settings: { secretKeys: [key('b'), key('a')] } })).engine.close();
    const after = await stored({ store });
    expect(after).toHaveLength(2);
    expect(after.every(({ keyId }) => keyId !== before[0]?.keyId)).toBe(true);

    const harness = await open({ store, settings: { secretKeys: [key('b')] } });
    const { fn, seen } = reader(['STRIPE']);
    await harness.worker([fn]);
    await harness.emit('go');
    await harness.clock.settle();
    expect(seen).toEqual([{ STRIPE: 'sk_live_0002' }]);
  });
});

test('a function without secrets costs no read of them', async () => {
  const store = new MemoryStore();
  let reads = 0;
  const scan = store.scan.bind(store);
  store.scan = (options) => {
    if ((options.table as unknown) === secrets) reads++;
    return scan(options);
  };
  const harness = await open({ store });
  await harness.engine.setSecret(env, 'STRIPE', 'sk_live_0123');
  await harness.worker([
    createFunction({ id: 'plain', triggers: [{ event: 'go' }] }, async ({ step }) =>
      step.run('a', () => 'sk_live_0123'),
    ),
  ]);
  await harness.emit('go');
  await harness.clock.settle();
  reads = 0;
  const { runIds } = await harness.emit('go');
  await harness.clock.settle();
  expect(reads).toBe(0);
  expect(await harness.engine.getRun(env, runIds[0] ?? '')).toMatchObject({ output: 'sk_live_0123' });
});

describe('over REST', () => {
  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0)) await cleanUp();
  });

  test('a secret is set, listed, replaced and removed, and its value is in no answer', async () => {
    const directory = temporaryDirectory();
    const engine = await createEngine({ dataDir: directory.path, secretKeys: [key('a')] });
    cleanUps.push(() => engine.close().then(directory.remove));
    const answers: string[] = [];
    const call = async (method: string, path: string, body?: unknown, environment = 'default') => {
      const answer = await engine.fetch(`/api/v1/secrets${path}`, {
        method,
        headers: { 'content-type': 'application/json', 'x-ironflow-environment': environment },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      answers.push(text);
      return [answer.status, text === '' ? undefined : JSON.parse(text)];
    };
    expect(await call('POST', '', { name: 'STRIPE', value: 'sk_live_0123' })).toMatchObject([201, { revision: 1 }]);
    expect(await call('PUT', '/STRIPE', { value: 'sk_live_4567' })).toMatchObject([200, { revision: 2 }]);
    expect(await call('GET', '')).toMatchObject([200, [{ name: 'STRIPE', revision: 2 }]]);
    expect(await call('GET', '/STRIPE')).toMatchObject([200, { name: 'STRIPE' }]);
    expect(await call('GET', '/STRIPE', undefined, 'staging')).toMatchObject([404, { code: 'SECRET_NOT_FOUND' }]);
    expect(await call('DELETE', '/STRIPE')).toEqual([204, undefined]);
    expect(await call('DELETE', '/STRIPE')).toMatchObject([404, { code: 'SECRET_NOT_FOUND' }]);
    for (const wrong of [
      { name: 'X', value: 'short' },
      { name: 'X', value: 'ä'.repeat(40_000) },
      { name: 'X', value: `half \ud83d of a character` },
      { name: '../x y', value: 'long enough' },
      { name: 'X' },
      [],
    ])
      expect(await call('POST', '', wrong)).toMatchObject([400, { code: 'VALIDATION_ERROR' }]);
    expect(answers.join()).not.toMatch(/sk_live|short"|long enough/);
  });
});

test('every table that a report writes to is without the value', async () => {
  const harness = await open();
  const secret = 'sk_live_"quoted"\\0123';
  await harness.engine.setSecret(env, 'STRIPE', secret);
  const fn = createFunction(
    { id: 'leak', triggers: [{ event: 'go' }], secrets: ['STRIPE'], retry: { maxAttempts: 2, initialDelayMs: 1 } },
    async ({ step, secrets: given, run }) => {
      const value = given.get('STRIPE');
      await step.run('a', () => [value, { [value]: encodeURIComponent(value) }]);
      await step
        .run('b', () => {
          throw Object.assign(new Error(value), { code: value, name: value });
        })
        .catch(() => {});
      await step.invokeAsync('leak-child', { value });
      if (run.attempt === 1) throw new Error(JSON.stringify({ value }));
      return Buffer.from(`u:${value}`).toString('base64');
    },
  );
  const child = createFunction({ id: 'leak-child', triggers: [] }, async ({ event }) => event.data);
  await harness.worker([fn, child]);
  await harness.emit('go');
  await harness.clock.advance(60_000);
  const rows: unknown[] = [];
  for (const table of [runs, steps, attempts, waits, events]) {
    for (const { row } of await harness.store.scan({ table: table as typeof runs, limit: 1_000 })) rows.push(row);
  }
  const text = JSON.stringify(rows);
  expect(rows.filter((row) => (row as { status?: string }).status === 'completed').length).toBeGreaterThan(3);
  expect(text).toContain('***');
  for (const part of ['sk_live', 'quoted', encodeURIComponent('"quoted"'), Buffer.from('live_"quo').toString('base64')])
    expect(text).not.toContain(part);
});

describe('what somebody says of a run of a function with secrets', () => {
  const value = 'sk_live_"quoted"\\0123';
  const said = { actor: `ada ${value}`, reason: `because of ${encodeURIComponent(value)}` };
  const leak = JSON.stringify({ [value]: [Buffer.from(`u:${value}`).toString('base64')] }) as JsonText;

  async function opened(secretNames: readonly string[], handler: (step: StepClient) => Promise<unknown>) {
    const harness = await open();
    await harness.engine.setSecret(env, 'STRIPE', value);
    const config = { id: 'f', triggers: [{ event: 'go' }], secrets: secretNames, recording: true };
    const worker = await harness.worker([createFunction(config, ({ step }) => handler(step))]);
    const { runIds } = await harness.emit('go');
    await harness.clock.settle();
    return { ...harness, lost: worker, runId: runIds[0] ?? '' };
  }

  async function rowsOf({ store }: Pick<TestEngine, 'store'>): Promise<string> {
    const rows: unknown[] = [];
    for (const table of tables) for (const { row } of await store.scan({ table, limit: 1_000 })) rows.push(row);
    return JSON.stringify(rows);
  }

  const parts = ['sk_live', 'quoted', Buffer.from('live_"quo').toString('base64')];

  async function expectClean(harness: Pick<TestEngine, 'store'>) {
    const text = await rowsOf(harness);
    expect(text).toContain('because of ***');
    expect(text).toContain('ada ***');
    for (const part of parts) expect(text).not.toContain(part);
  }

  test('pause, patch, resume from a step, cancel, rerun with other data', async () => {
    const harness = await opened(['STRIPE'], async (step) => {
      await step.run('a', () => 1);
      return step.sleep('nap', '1h');
    });
    const { operations } = harness.engine;
    const { runId } = harness;
    await operations.pause(env, runId, said);
    expect((await harness.engine.getRun(env, runId)).why).toContain('***');
    await operations.patchStep(env, `${runId}:a:0`, leak, said);
    expect((await harness.engine.getSteps(env, runId))[0]?.output).toEqual({ '***': ['dT***='] });
    await operations.resume(env, runId, { ...said, fromStep: 'nap' });
    await operations.pause(env, runId, said);
    await operations.resume(env, runId, said);
    await operations.rerun(env, runId, { ...said, input: leak });
    await harness.clock.settle();
    await operations.cancel(env, runId, said);
    await harness.clock.settle();
    const { entries } = await harness.engine.listAudit(env, { limit: 100 });
    expect(new Set(entries.flatMap(({ actor, eventType }) => (actor === undefined ? [] : [eventType])))).toEqual(
      new Set(['run.paused', 'step.patched', 'run.restarted', 'run.resumed', 'run.rerun', 'run.cancelled']),
    );
    await expectClean(harness);
  });

  test.each([
    ['an output', { kind: 'output', output: leak }],
    ['an error', { kind: 'error', error: { name: 'Error', code: 'X', retryable: false, message: value } }],
  ] as const)('a decision: %s', async (_, decision) => {
    const harness = await opened(['STRIPE'], async (step) =>
      step.run('once', () => new Promise(() => {}), { effect: 'once' }),
    );
    harness.lost.crash();
    await harness.lost.line.close();
    await harness.clock.advance(3_600_000);
    const [step] = await harness.engine.getSteps(env, harness.runId);
    await harness.engine.decideStep(env, harness.runId, step?.id ?? '', decision, said);
    await harness.clock.settle();
    await expectClean(harness);
  });

  test('stays as it is where the function declares none', async () => {
    const harness = await opened([], async (step) => {
      await step.run('a', () => 1);
      return step.sleep('nap', '1h');
    });
    await harness.engine.operations.pause(env, harness.runId, said);
    await harness.engine.operations.patchStep(env, `${harness.runId}:a:0`, leak);
    expect((await harness.engine.getSteps(env, harness.runId))[0]?.output).toEqual(JSON.parse(leak));
    expect((await harness.engine.listAudit(env, { eventType: 'run.paused' })).entries[0]).toMatchObject(said);
  });
});
