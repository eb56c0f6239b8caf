import type { StandardSchema } from '@ironflow/core';
import { NotConfiguredError } from '@ironflow/core';
import type { Assignment, Report } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createFunction, type FunctionContext, type IronflowFunction } from '../function/index.ts';
import { type Logger, loggerFrom } from '../logger.ts';
import { accepted, memoOf, newAssignment, VirtualClock } from '../test-support/index.ts';
import { createJob, createSecretsClient } from './index.ts';

async function run(fn: IronflowFunction, assignment: Partial<Assignment> = {}, logger: Logger = loggerFrom(false)) {
  const clock = new VirtualClock();
  const reports: Report[] = [];
  const journal = {
    report: async (report: Report) => {
      reports.push(report);
      return accepted({ ended: report.end !== undefined });
    },
  };
  const job = createJob({
    fn,
    assignment: { ...newAssignment, ...assignment },
    journal,
    turns: clock,
    logger,
  });
  const over = job.run();
  await clock.settle();
  return { over, reports, clock, end: () => reports.at(-1)?.end };
}

const withData = (value: unknown): Partial<Assignment> => ({
  event: { ...newAssignment.event, data: { value: value as never } },
});

describe('what a handler is called with', () => {
  test('is the event, its run and a step client', async () => {
    let seen: FunctionContext | undefined;
    const fn = createFunction({ id: 'f', triggers: [] }, (context) => {
      seen = context;
    });
    const event = {
      id: 'evt_9',
      name: 'order.placed',
      version: 2,
      data: { text: '{"n":1}' as never },
      timestamp: Date.UTC(2027, 0, 1),
      source: 'api',
      metadata: { value: { trace: 't' } },
    };
    await run(fn, { event, attempt: 3 });
    expect(seen?.event).toEqual({
      id: 'evt_9',
      name: 'order.placed',
      version: 2,
      data: { n: 1 },
      timestamp: new Date(Date.UTC(2027, 0, 1)),
      source: 'api',
      metadata: { trace: 't' },
    });
    expect(seen?.run).toEqual({ id: 'run_1', functionId: 'f', attempt: 3 });
    expect(typeof seen?.step.run).toBe('function');
    expect(() => seen?.secrets.get('KEY')).toThrow(NotConfiguredError);
  });

  test('is checked by a schema first, and is what the schema makes of it', async () => {
    const schema = z.object({ n: z.coerce.number(), at: z.iso.datetime().transform((text) => new Date(text)) });
    const fn = createFunction({ id: 'f', triggers: [], schema }, ({ event }) => [
      event.data.n + 1,
      event.data.at.getTime(),
    ]);
    const { end } = await run(fn, withData({ n: '41', at: '1970-01-01T00:00:01Z', more: true }));
    expect(end()).toMatchObject({ status: 'completed', output: { text: '[42,1000]' } });
  });

  test('fails for good when it does not fit, and every path at fault is named', async () => {
    const schema = z.object({ id: z.string(), items: z.array(z.object({ n: z.number() })) });
    let calls = 0;
    const fn = createFunction({ id: 'f', triggers: [], schema }, () => ++calls);
    const { end } = await run(fn, withData({ items: [{ n: 1 }, { n: 'two' }] }));
    expect(end()).toMatchObject({
      status: 'failed',
      error: {
        name: 'SchemaValidationError',
        code: 'SCHEMA_VALIDATION',
        retryable: false,
        message: expect.stringMatching(/schema of function "f": id: .*; items\.1\.n: /),
        details: { validationErrors: [{ path: 'id' }, { path: 'items.1.n' }] },
      },
    });
    expect(calls).toBe(0);
  });

  const schemaOf = (validate: StandardSchema<unknown, number>['~standard']['validate']) =>
    ({ '~standard': { version: 1, vendor: 'test', validate } }) satisfies StandardSchema<unknown, number>;

  test('may be checked by any Standard Schema, also one that takes its time', async () => {
    const schema = schemaOf(async (value) => ({ value: Number(value) * 2 }));
    const fn = createFunction({ id: 'f', triggers: [], schema }, ({ event }) => event.data + 1);
    expect((await run(fn, withData(4))).end()).toMatchObject({ output: { text: '9' } });
  });

  test('names paths as Standard Schema may give them, and the whole without one', async () => {
    const issues = [
      { message: 'is odd' },
      { message: 'is wrong', path: ['a', { key: 0 }, Symbol('s')] },
      { message: 'is late', path: undefined },
    ];
    const fn = createFunction({ id: 'f', triggers: [], schema: schemaOf(() => ({ issues })) }, () => 1);
    const { end } = await run(fn);
    expect(JSON.stringify(end())).toContain('is odd; a.0.Symbol(s): is wrong; is late');
  });

  test.each([
    ['for good', new Error('a bug in the schema'), false],
    ['for now, when it could not reach its host', new TypeError('fetch failed'), true],
  ])('fails %s when the schema itself throws', async (_, error, retryable) => {
    const schema = schemaOf(() => Promise.reject(error));
    const { end } = await run(createFunction({ id: 'f', triggers: [], schema }, () => 1));
    expect(end()).toMatchObject({ status: 'failed', error: { retryable } });
    expect(JSON.stringify(end())).toContain(error.message);
  });
});

describe('the logger of a handler', () => {
  test('says which run writes, and is silent while the function comes through what it did before', async () => {
    const lines: unknown[][] = [];
    const write = (...line: unknown[]) => void lines.push(line);
    const logger = { debug: write, info: write, warn: write, error: write };
    const fn = createFunction({ id: 'f', triggers: [] }, async ({ step, logger }) => {
      logger.info('begins', 1);
      await step.run('a', () => 'a');
      logger.info('after a');
      await step.run('b', () => 'b');
      logger.warn('after b');
      await step.run('c', () => 'c');
      logger.error('after c');
    });
    await run(fn, {}, logger);
    const all = ['f run_1: begins', 'f run_1: after a', 'f run_1: after b', 'f run_1: after c'];
    expect(lines.map(([message]) => message)).toEqual(all);
    expect(lines[0]).toEqual(['f run_1: begins', 1]);
    lines.length = 0;
    await run(fn, { memo: memoOf(['a:0', 'run', 'a'], ['b:0', 'run', 'b']), sequence: 2 }, logger);
    expect(lines.map(([message]) => message)).toEqual(all.slice(2));
  });
});

describe('a job whose time is over', () => {
  test('starts no further body', async () => {
    const calls: string[] = [];
    const fn = createFunction({ id: 'f', triggers: [] }, async ({ step }) => {
      await step.run('a', () => new Promise<void>((resolve) => clock?.after(50, resolve)));
      await step.run('b', () => calls.push('b'));
    });
    let clock: VirtualClock | undefined;
    const job = await run(fn, { timeLeftMs: 50 });
    clock = job.clock;
    expect(job.reports).toEqual([]);
    await job.clock.advance(1_000);
    expect(calls).toEqual([]);
  });
});

describe('createSecretsClient', () => {
  test('gives what it has, and says what to do about the rest', () => {
    const secrets = createSecretsClient({ KEY: 'value', EMPTY: '' });
    expect([secrets.get('KEY'), secrets.get('EMPTY'), secrets.has('KEY'), secrets.has('OTHER')]).toEqual([
      'value',
      '',
      true,
      false,
    ]);
    for (const name of ['OTHER', 'toString', '__proto__']) {
      expect(secrets.has(name)).toBe(false);
      expect(() => secrets.get(name)).toThrow(new RegExp(`^Secret "${name}" is not available. Name it`));
    }
  });
});
