// How functions behave, whatever carries them: the same tests over every transport. The tests speak to the engine through the
// public client alone, in real time; durations that are slept are a few milliseconds.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { EventDefinitionRegistry, InvokeError, IronflowClient, IronflowFunction, Run } from '../../src/index.ts';
import { createEventDefinitionRegistry, createFunction, defineEvent, NonRetryableError } from '../../src/index.ts';
import { eventually } from '../src/test-support/eventually.ts';
import { testSteering } from './steering.ts';

/** What workers and endpoints are configured with alike. */
export interface ProvideOptions {
  readonly eventDefinitions?: EventDefinitionRegistry | undefined;
}

export interface BehaviourHarness {
  readonly client: IronflowClient;
  /** Makes functions available to the engine, by the transport under test. */
  provide(functions: readonly IronflowFunction[], options?: ProvideOptions): Promise<void>;
  setSecret(name: string, value: string): Promise<void>;
  close(): Promise<void>;
}

const fast = { maxAttempts: 3, initialDelayMs: 5, backoffFactor: 1 } as const;

export function describeBehaviour(transport: string, open: () => Promise<BehaviourHarness>): void {
  describe(`functions over ${transport}`, () => {
    let harness: BehaviourHarness;
    let made = 0;

    beforeAll(async () => {
      harness = await open();
    });
    afterAll(() => harness.close());

    /** A function that its own event starts; ids are unique, so that tests do not meet. */
    const define = (
      handler: Parameters<typeof createFunction>[1],
      config: Partial<Parameters<typeof createFunction>[0]> = {},
    ): IronflowFunction => {
      const id = `f${++made}`;
      return createFunction({ retry: fast, triggers: [{ event: `start.${id}` }], ...config, id }, handler);
    };

    const start = async (fn: IronflowFunction, data: unknown = {}): Promise<string> => {
      const { runIds } = await harness.client.emit(`start.${fn.id}`, data);
      expect(runIds).toHaveLength(1);
      return runIds[0] ?? '';
    };

    const finish = async (runId: string): Promise<Run> => {
      const run = await harness.client.waitForRun(runId, { timeout: 20_000 });
      if (run.endedAt === undefined) throw new Error(`run ${runId} has not ended: ${JSON.stringify(run)}`);
      return run;
    };

    const execute = async (fn: IronflowFunction, data?: unknown): Promise<Run> => {
      await harness.provide([fn]);
      return finish(await start(fn, data));
    };

    test('steps run once each, in order, and give back what JSON keeps of their results', async () => {
      const calls: string[] = [];
      const fn = define(async ({ event, step, run }) => {
        const first = await step.run('first', () => {
          calls.push('first');
          return { n: event.data.n, at: new Date(0), gone: undefined, list: [undefined, Number.NaN] };
        });
        await step.run('nothing', () => void calls.push('nothing'));
        return { first, isText: typeof first.at, attempt: run.attempt };
      });
      expect(await execute(fn, { n: 1, text: 'ü\u2028"\\' })).toMatchObject({
        status: 'completed',
        output: { first: { n: 1, at: '1970-01-01T00:00:00.000Z', list: [null, null] }, isText: 'string', attempt: 1 },
      });
      expect(calls).toEqual(['first', 'nothing']);
    });

    test('what was done before a sleep is not done again after it', async () => {
      const calls: string[] = [];
      const fn = define(async ({ step }) => {
        const a = await step.run('a', () => calls.push('a'));
        await step.sleep('nap', 30);
        const b = await step.run('b', () => calls.push('b'));
        await step.sleepUntil('until', new Date(Date.now() - 1_000));
        return [a, b, await step.run('c', () => calls.push('c'))];
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: [1, 2, 3] });
      expect(calls).toEqual(['a', 'b', 'c']);
    });

    test('a suspension runs neither catch nor finally of the function', async () => {
      const seen: string[] = [];
      const fn = define(async ({ step }) => {
        try {
          await step.sleep('nap', 20);
          return await step.run('after', () => 'ok');
        } catch (error) {
          seen.push(`caught ${error}`);
          throw error;
        } finally {
          seen.push('finally');
        }
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: 'ok' });
      expect(seen).toEqual(['finally']);
    });

    test('several waits pass side by side, in plain Promise.all as well as in parallel', async () => {
      const fn = define(async ({ step }) => {
        const [, , c] = await Promise.all([step.sleep('x', 60), step.sleep('y', 40), step.run('z', () => 'z')]);
        const d = await step.parallel('p', [
          (s) => s.sleep('one', 30).then(() => s.run('r', () => 1)),
          (s) => s.sleep('two', 20).then(() => s.run('r', () => 2)),
        ]);
        return [c, ...d];
      });
      const run = await execute(fn);
      expect(run).toMatchObject({ status: 'completed', output: ['z', 1, 2] });
    });

    test('Promise.race has one winner, also when the run is replayed', async () => {
      const winners: string[] = [];
      const fn = define(async ({ step }) => {
        const winner = await Promise.race([
          step.sleep('slow', 2_000).then(() => 'slow'),
          step.run('quick', () => 'quick'),
        ]);
        winners.push(winner);
        await step.sleep('pause', 10);
        return winner;
      });
      expect(await execute(fn)).toMatchObject({ output: 'quick' });
      expect(new Set(winners)).toEqual(new Set(['quick']));
    });

    test('map keeps to its concurrency and the order of its items', async () => {
      let running = 0;
      let most = 0;
      const fn = define(async ({ event, step }) =>
        step.map(
          'all',
          event.data.items as number[],
          async (item, s, index) =>
            s.run('one', async () => {
              most = Math.max(most, ++running);
              await new Promise((resolve) => setTimeout(resolve, 5));
              running--;
              return item * 10 + index;
            }),
          { concurrency: 3 },
        ),
      );
      const items = Array.from({ length: 12 }, (_, i) => i);
      expect(await execute(fn, { items })).toMatchObject({ output: items.map((i) => i * 11) });
      expect(most).toBe(3);
    });

    test('a failed step is tried again by the policy, and by itself', async () => {
      const starts: string[] = [];
      const fn = define(async ({ step }) => {
        await step.run('steady', () => void starts.push('steady'));
        return step.run('flaky', () => {
          starts.push('flaky');
          if (starts.length < 4) throw new Error('not yet');
          return starts.length;
        });
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: 4 });
      expect(starts).toEqual(['steady', 'flaky', 'flaky', 'flaky']);
    });

    test('the error of a step reaches the function when its attempts are used up, and can be caught', async () => {
      let attempts = 0;
      const fn = define(async ({ step }) => {
        const caught = await step
          .run('always', () => {
            attempts++;
            throw new RangeError('no');
          })
          .catch((error: Error & { code?: string }) => `${error.name} ${error.code} ${error.message}`);
        await step.sleep('nap', 10);
        return caught;
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: 'StepError STEP_FAILED no' });
      expect(attempts).toBe(3);
    });

    test('NonRetryableError ends the step, and the run if nobody catches it', async () => {
      let attempts = 0;
      const fn = define(async ({ step }) =>
        step.run('declined', () => {
          attempts++;
          throw new NonRetryableError('card declined');
        }),
      );
      expect(await execute(fn)).toMatchObject({
        status: 'failed',
        error: { message: 'card declined', retryable: false },
      });
      expect(attempts).toBe(1);
    });

    test('a handler that throws is run again, with what it has recorded', async () => {
      const seen: string[] = [];
      const fn = define(async ({ step, run }) => {
        await step.run('once', () => void seen.push('once'));
        seen.push(`handler ${run.attempt}`);
        if (run.attempt < 3) throw new Error('outside a step');
        return 'ok';
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', attempt: 3 });
      expect(seen).toEqual(['once', 'handler 1', 'handler 2', 'handler 3']);
    });

    test('failFast throws the first failure at once; allSettled gives all results', async () => {
      const fn = define(async ({ step }) => {
        const branches = [
          async (s: typeof step) => s.run('good', () => 'good'),
          async (s: typeof step) =>
            s.run('bad', () => {
              throw new NonRetryableError('bad');
            }),
          (s: typeof step) => s.sleep('long', '1h').then(() => 'late'),
        ];
        const fast = await step.parallel('fast', branches).catch((error: Error) => error.message);
        const settled = await step.parallel('settled', branches.slice(0, 2), { onError: 'allSettled' });
        return [fast, ...settled.map((result) => (result instanceof Error ? `error ${result.message}` : result))];
      });
      expect(await execute(fn)).toMatchObject({ output: ['bad', 'good', 'error bad'] });
    });

    test('waitForEvent takes events that come before and after it is called, and only those that match', async () => {
      const fn = define(async ({ event, step }) => {
        await step.run('ready', () => 1);
        await step.sleep('nap', 20);
        const early = await step.waitForEvent('early', { event: `early.${event.data.key}` });
        const late = await step.waitForEvent('late', { event: 'late', match: 'data.key', timeout: '1m' });
        return [early.data.value, late.data.value, late.timestamp instanceof Date];
      });
      await harness.provide([fn]);
      const runId = await start(fn, { key: fn.id });
      await harness.client.emit(`early.${fn.id}`, { value: 'early' });
      await harness.client.emit('late', { key: 'another', value: 'wrong' });
      await harness.client.emit('late', { key: fn.id, value: 'late' });
      expect(await finish(runId)).toMatchObject({ status: 'completed', output: ['early', 'late', true] });
    });

    test('waitForAny takes the first of several events, matched by path or by expression', async () => {
      const fn = define(async ({ step }) => {
        const outcome = await step.waitForAny('outcome', {
          paid: { event: 'any.paid', match: 'data.key == trigger.data.key && data.amount > 10.0' },
          cancelled: { event: 'any.cancelled', match: 'data.key' },
          timeout: '1m',
        });
        const none = await step
          .waitForAny('none', { a: { event: 'never.a' }, b: { event: 'never.b' }, timeout: 20 })
          .catch((error: Error) => error.name);
        return [outcome.which, outcome.event.data.amount, none];
      });
      await harness.provide([fn]);
      const runId = await start(fn, { key: fn.id });
      await harness.client.emit('any.paid', { key: fn.id, amount: 5 });
      await harness.client.emit('any.cancelled', { key: 'another' });
      await harness.client.emit('any.paid', { key: fn.id, amount: 50 });
      await harness.client.emit('any.cancelled', { key: fn.id });
      expect(await finish(runId)).toMatchObject({ status: 'completed', output: ['paid', 50, 'WaitTimeoutError'] });
    });

    test('a wait that times out throws an error that can be caught', async () => {
      const fn = define(async ({ step }) =>
        step.waitForEvent('never', { event: 'never.comes', timeout: 30 }).catch((error: Error) => error.name),
      );
      expect(await execute(fn)).toMatchObject({ output: 'WaitTimeoutError' });
    });

    test('invoke returns what the other function returns, or throws what it said', async () => {
      const child = define(
        async ({ event, step }) => {
          if (event.data.fail) throw new NonRetryableError('the child failed');
          await step.sleep('nap', 10);
          return step.run('work', () => ({ doubled: event.data.n * 2 }));
        },
        { triggers: [] },
      );
      const parent = define(async ({ step }) => {
        const result = await step.invoke<{ doubled: number }>(child.id, { n: 4 });
        const failure = await step
          .invoke(child.id, { fail: true })
          .catch((error: Error) => `${error.name}: ${error.message}`);
        const late = await step.invoke(child.id, { n: 1 }, { timeout: 1 }).catch((error: Error) => error.name);
        const { runId } = await step.invokeAsync(child.id, { n: 8 });
        return { doubled: result.doubled, failure, late, runId };
      });
      await harness.provide([child, parent]);
      const run = await finish(await start(parent));
      expect(run).toMatchObject({
        status: 'completed',
        output: {
          doubled: 8,
          failure: expect.stringMatching(/^InvokeError: .*the child failed/),
          late: 'InvokeTimeoutError',
        },
      });
      const { runId } = run.output as { runId: string };
      expect(await finish(runId)).toMatchObject({ status: 'completed', output: { doubled: 16 } });
    });

    test('calling a function that nobody registered throws an InvokeError with its id', async () => {
      const fn = define(async ({ step }) =>
        step
          .invoke('nobody', {})
          .catch((error: InvokeError) => [error.name, error.code, error.functionId, error.message]),
      );
      await harness.provide([fn]);
      const { output } = await finish(await start(fn));
      expect(output).toEqual(['InvokeError', 'INVOKE_FAILED', 'nobody', expect.stringContaining('"nobody"')]);
    });

    test('a run that fails by a step says which, and what its body threw', async () => {
      const fn = define(async ({ step }) => {
        await step.run('pay', () => {
          throw Object.assign(new NonRetryableError('declined'), { code: 'CARD_DECLINED' });
        });
      });
      await harness.provide([fn]);
      const { status, error } = await finish(await start(fn));
      expect([status, error]).toMatchObject([
        'failed',
        {
          code: 'STEP_FAILED',
          message: 'declined',
          details: {
            stepName: 'pay',
            cause: { name: 'NonRetryableError', code: 'CARD_DECLINED', message: 'declined' },
          },
        },
      ]);
    });

    test('data that does not fit the schema fails the run and names the paths', async () => {
      const schema = z.object({ order: z.object({ id: z.string(), lines: z.array(z.number()) }) });
      const fn = createFunction(
        { id: `f${++made}`, triggers: [{ event: `start.f${made}` }], schema, retry: fast },
        async ({ event }) => event.data.order.id,
      );
      expect(await execute(fn, { order: { id: 'x', lines: [1] } })).toMatchObject({ status: 'completed', output: 'x' });
      const failed = await finish(await start(fn, { order: { id: 5, lines: [1, 'two'] } }));
      expect(failed).toMatchObject({ status: 'failed', error: { code: 'SCHEMA_VALIDATION' } });
      expect(failed.error?.message).toMatch(/order\.id.*order\.lines\.1/s);
    });

    test('events of older versions are lifted before the function sees them, and checked by their definition', async () => {
      const id = `f${++made}`;
      const placed = defineEvent({
        name: `placed.${id}`,
        version: 3,
        schema: z.object({ amount: z.number(), currency: z.string() }),
        upcast: (data) => ({ ...(data as object), amount: (data as { total: unknown }).total }),
      });
      const eventDefinitions = createEventDefinitionRegistry();
      eventDefinitions.register(defineEvent({ name: placed.name, version: 1 }));
      eventDefinitions.register(
        defineEvent({ name: placed.name, version: 2, upcast: (data) => ({ currency: 'EUR', ...(data as object) }) }),
      );
      eventDefinitions.register(placed);
      const fn = createFunction({ id, triggers: [{ event: placed }], retry: fast }, async ({ event, step }) => {
        const next = await step.waitForEvent('next', { event: placed, timeout: '1m' });
        return [event.version, event.data, next.version, next.data];
      });
      await harness.provide([fn], { eventDefinitions });
      const { runIds } = await harness.client.emit(placed.name, { total: 5 });
      await harness.client.emit(placed, { amount: 7, currency: 'CHF' });
      expect(await finish(runIds[0] ?? '')).toMatchObject({
        status: 'completed',
        output: [1, { amount: 5, currency: 'EUR' }, 3, { amount: 7, currency: 'CHF' }],
      });

      const { runIds: wrong } = await harness.client.emit(placed.name, { total: 'five' }, { version: 2 });
      expect(await finish(wrong[0] ?? '')).toMatchObject({
        status: 'failed',
        error: { code: 'SCHEMA_VALIDATION', message: expect.stringMatching(/"placed\.f\d+", version 3: amount: /) },
      });
      await expect(harness.client.emit(placed, { amount: '7' } as never)).rejects.toMatchObject({
        code: 'SCHEMA_VALIDATION',
        details: { validationErrors: [{ path: 'amount' }, { path: 'currency' }] },
      });
    });

    test('declared secrets reach the function, others do not, and their values are nowhere in what it leaves', async () => {
      await harness.setSecret('SHOP_KEY', 'key-of-the-shop-1');
      await harness.setSecret('OTHER_KEY', 'key-of-another-1');
      const seen: string[] = [];
      const child = define(async ({ event }) => event.data, { triggers: [] });
      const fn = define(
        async ({ step, secrets }) => {
          seen.push(secrets.get('SHOP_KEY'));
          const key = await step.run('leak', () => ({ url: `https://x.test/?k=${secrets.get('SHOP_KEY')}` }));
          const handedOn = await step.invoke<{ key: string }>(child.id, { key: secrets.get('SHOP_KEY') });
          const caught = await step
            .run('fail', () => {
              throw new NonRetryableError(`bad key ${secrets.get('SHOP_KEY')}`);
            })
            .catch((error: Error) => error.message);
          await step.sleep('nap', 10);
          const kept = [secrets.has('OTHER_KEY'), secrets.has('MISSING')];
          return { key, handedOn, caught, kept, again: secrets.get('SHOP_KEY') };
        },
        { secrets: ['SHOP_KEY', 'MISSING'] },
      );
      await harness.provide([child, fn]);
      expect(await finish(await start(fn))).toMatchObject({
        status: 'completed',
        output: {
          key: { url: 'https://x.test/?k=***' },
          handedOn: { key: '***' },
          caught: 'bad key ***',
          kept: [false, false],
          again: '***',
        },
      });
      expect(new Set(seen)).toEqual(new Set(['key-of-the-shop-1']));

      await harness.setSecret('SHOP_KEY', 'key-of-the-shop-2');
      const failing = define(
        async ({ secrets }) => {
          throw new NonRetryableError(`${secrets.get('SHOP_KEY').length} key-of-the-shop-1 ${secrets.get('SHOP_KEY')}`);
        },
        { secrets: ['SHOP_KEY'] },
      );
      expect(await execute(failing)).toMatchObject({ status: 'failed', error: { message: '17 *** ***' } });
    });

    test('a step whose name has a secret in it fails its run, and says so without the value', async () => {
      await harness.setSecret('NAME_KEY', 'key-in-a-name');
      const fn = define(async ({ step, secrets }) => step.run(`pay with ${secrets.get('NAME_KEY')}`, () => 1), {
        secrets: ['NAME_KEY'],
      });
      const run = await execute(fn);
      expect(run).toMatchObject({ status: 'failed', error: { code: 'SECRET_IN_NAME' } });
      expect(JSON.stringify(run)).not.toContain('key-in-a-name');
    });

    test('a secret that was never set is an error that says what to do', async () => {
      const fn = define(async ({ secrets }) => secrets.get('NEVER_SET'), { secrets: ['NEVER_SET'] });
      expect(await execute(fn)).toMatchObject({ status: 'failed', error: { code: 'NOT_CONFIGURED' } });
    });

    test('an event that no upcaster leads on from fails its run, for good', async () => {
      const eventDefinitions = createEventDefinitionRegistry();
      const id = `f${made + 1}`;
      eventDefinitions.register(defineEvent({ name: `start.${id}`, version: 2 }));
      const fn = define(async () => 'never');
      await harness.provide([fn], { eventDefinitions });
      expect(await finish(await start(fn))).toMatchObject({
        status: 'failed',
        attempt: 1,
        error: { code: 'UPCAST_FAILED', details: { event: `start.${id}`, missingFrom: 1 } },
      });
    });

    test('a step that takes longer than its timeout fails, and its signal aborts', async () => {
      const aborted: boolean[] = [];
      const fn = define(
        async ({ step }) =>
          step
            .run(
              'slow',
              ({ signal }) =>
                new Promise((resolve) => signal.addEventListener('abort', () => resolve(aborted.push(true)))),
              { timeout: 20 },
            )
            .catch((error: Error) => error.name),
        { retry: { maxAttempts: 1 } },
      );
      expect(await execute(fn)).toMatchObject({ output: 'StepTimeoutError' });
      expect(aborted).toEqual([true]);
    });

    /** A step that ends only when its signal says so, and tells of it. */
    const endless = () => {
      const begun = Promise.withResolvers<void>();
      const aborted = Promise.withResolvers<unknown>();
      const body = ({ signal }: { readonly signal: AbortSignal }) =>
        new Promise<string>((resolve) => {
          signal.addEventListener('abort', () => {
            aborted.resolve(signal.reason);
            resolve('aborted');
          });
          begun.resolve();
        });
      return { body, begun: begun.promise, aborted: aborted.promise };
    };

    test('the signal of a step aborts when its run is cancelled', async () => {
      const { body, begun, aborted } = endless();
      const fn = define(async ({ step }) => step.run('endless', body));
      await harness.provide([fn]);
      const runId = await start(fn);
      await begun;
      await harness.client.cancelRun(runId, 'enough');
      expect(await aborted).toBeInstanceOf(Error);
      expect(await finish(runId)).toMatchObject({ status: 'cancelled' });
      expect((await harness.client.getRunSteps(runId)).steps).toEqual([]);
    });

    test('the signal of a step aborts when the function has used up its timeout; the next attempt gets another', async () => {
      const { body, aborted } = endless();
      let attempts = 0;
      const fn = define(
        async ({ step }) => {
          await step.run('quick', () => 1);
          return step.run('endless', async (context) =>
            ++attempts === 1 ? body(context) : `aborted: ${context.signal.aborted}`,
          );
        },
        { timeout: 300 },
      );
      await harness.provide([fn]);
      const runId = await start(fn);
      expect(await aborted).toBeInstanceOf(Error);
      expect(await finish(runId)).toMatchObject({ status: 'completed', attempt: 2, output: 'aborted: false' });
      expect((await harness.client.getRunSteps(runId)).attempts).toMatchObject([
        { outcome: 'failed', error: { code: 'FUNCTION_TIMEOUT' } },
      ]);
    });

    test('waiting does not count against the timeout of a function', async () => {
      const fn = define(
        async ({ step }) => {
          for (let i = 0; i < 4; i++) await step.sleep('nap', 100);
          return 'done';
        },
        { timeout: 250, retry: { maxAttempts: 1 } },
      );
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: 'done' });
    });

    test('a step has its own retry policy where it says so, and the rest of it from the function', async () => {
      const attempts: Record<string, number> = {};
      const fails = (name: string) => () => {
        attempts[name] = (attempts[name] ?? 0) + 1;
        throw new Error(name);
      };
      const fn = define(async ({ step }) => {
        const ends = (name: string, retry?: { maxAttempts?: number; initialDelayMs?: number }) =>
          step.run(name, fails(name), { retry }).catch((error: Error) => error.message);
        return [await ends('once', { maxAttempts: 1 }), await ends('five', { maxAttempts: 5 }), await ends('as-all')];
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: ['once', 'five', 'as-all'] });
      expect(attempts).toEqual({ once: 1, five: 5, 'as-all': 3 });
      const wrong = define(async ({ step }) => step.run('wrong', () => 1, { retry: { maxAttempts: 0 } }));
      expect(await execute(wrong)).toMatchObject({
        status: 'failed',
        error: { message: expect.stringContaining('retry of step "wrong".maxAttempts is 0') },
      });
    });

    test('stepTimeout holds for steps without a timeout of their own', async () => {
      const fn = define(
        async ({ step }) => {
          const slow = () => new Promise((resolve) => setTimeout(resolve, 150, 'slow'));
          const own = await step.run('own', slow, { timeout: '10s' });
          const caught = await step.run('default', slow).catch((error: Error) => error.name);
          return [own, caught];
        },
        { stepTimeout: 50, retry: { maxAttempts: 1 } },
      );
      expect(await execute(fn)).toMatchObject({ output: ['slow', 'StepTimeoutError'] });
    });

    test('a result that is not JSON fails with what to do about it', async () => {
      const step = define(async ({ step }) => step.run('big', () => ({ n: 10n })));
      const handler = define(async () => {
        const loop: Record<string, unknown> = {};
        loop['self'] = loop;
        return loop;
      });
      await harness.provide([step, handler]);
      const failures = await Promise.all([finish(await start(step)), finish(await start(handler))]);
      expect(failures.map(({ status }) => status)).toEqual(['failed', 'failed']);
      expect(failures[0]?.error?.message).toContain('output of step "big" cannot be stored as JSON');
      expect(failures[1]?.error?.message).toContain('output of the function cannot be stored as JSON');
    });

    test('a function that takes another path than its history fails as non-deterministic', async () => {
      let executions = 0;
      const fn = define(async ({ step }) => {
        if (++executions > 1) return step.sleep('same-name', 10);
        await step.run('same-name', () => 1);
        throw new Error('replayed, wherever it goes on');
      });
      const run = await execute(fn);
      expect(run).toMatchObject({ status: 'failed', error: { code: 'NON_DETERMINISTIC' } });
      expect(run.error?.message).toContain('"same-name" is recorded in this run as run');
    });

    test('a cancelled run goes no further', async () => {
      const calls: string[] = [];
      const reached = Promise.withResolvers<void>();
      const fn = define(async ({ step }) => {
        await step.run('first', () => {
          calls.push('first');
          reached.resolve();
        });
        await step.waitForEvent('wait', { event: 'never.comes' });
        await step.run('second', () => void calls.push('second'));
      });
      await harness.provide([fn]);
      const runId = await start(fn);
      await reached.promise;
      const cancelled = await harness.client.cancelRun(runId, 'enough');
      expect(cancelled).toMatchObject({ status: 'cancelled', error: { message: expect.stringContaining('enough') } });
      expect(await finish(runId)).toMatchObject({ status: 'cancelled' });
      expect(calls).toEqual(['first']);
    });

    test('publish stores one message for each step, and the client sees the topic', async () => {
      const topic = `topic.of.${Math.random().toString(36).slice(2)}`;
      const fn = define(async ({ step }) => {
        const first = await step.publish(topic, { n: 1 });
        await step.sleep('nap', 10);
        const second = await step.publish(topic);
        return [first, second];
      });
      const { output } = await execute(fn);
      expect(output).toEqual([
        { eventId: expect.stringMatching(/^msg_/), sequence: 1 },
        { eventId: expect.stringMatching(/^msg_/), sequence: 2 },
      ]);
      const options = { idempotencyKey: topic };
      const third = await harness.client.publish(topic, { n: 3 }, options);
      expect(third.sequence).toBe(3);
      expect(await harness.client.publish(topic, { n: 4 }, options)).toEqual(third);
      expect(await harness.client.getTopicStats(topic)).toMatchObject({ messageCount: 3, firstSeq: 1, lastSeq: 3 });
      expect(await harness.client.listTopics()).toContainEqual(
        expect.objectContaining({ name: topic, messageCount: 3 }),
      );
    });

    test('a step that must not run twice starts on record; nothing is to be decided once it has ended', async () => {
      const fn = define(async ({ step }) => step.run('pay', ({ attempt }) => `paid ${attempt}`, { effect: 'once' }));
      const run = await execute(fn);
      expect(run).toMatchObject({ status: 'completed', output: 'paid 1' });
      const { steps } = await harness.client.getRunSteps(run.id);
      expect(steps).toMatchObject([
        {
          attempts: [{ number: 1, outcome: 'completed', worker: expect.any(String) }],
          starts: { atLeast: 1, atMost: 1 },
        },
      ]);
      await expect(harness.client.decideStep(run.id, steps[0]?.id ?? '', { again: true })).rejects.toMatchObject({
        code: 'CONFLICT',
      });
    });

    test('a recorded function has a trail of what its run did, in order, beside what people did to it', async () => {
      const fn = define(
        async ({ step }) => {
          await step.run('flaky', ({ attempt }) => {
            if (attempt === 1) throw new Error('not yet');
          });
          await step.sleep('nap', 10);
          await step.waitForEvent('late', { event: 'never.comes', timeout: 10 }).catch(() => {});
        },
        { recording: true, recordingRetention: '7y' },
      );
      const { id } = await execute(fn);
      await harness.client.rerunRun(id, { reason: 'for the auditors' });
      const { entries } = await harness.client.getAuditTrail(id);
      expect(entries.map(({ eventType, stepId }) => `${eventType} ${stepId?.split(':')[1] ?? ''}`)).toEqual([
        'run.started ',
        'step.attempt_failed flaky',
        'step.completed flaky',
        'step.waiting nap',
        'step.completed nap',
        'step.waiting late',
        'step.timed_out late',
        'run.completed ',
        'run.rerun ',
      ]);
      expect(entries[1]?.payload).toMatchObject({ attempt: 1, error: { message: 'not yet' }, nextAttempt: 2 });
      expect(entries[2]?.payload).toMatchObject({ attempt: 2, kind: 'run', worker: expect.any(String) });
      expect(entries[8]).toMatchObject({ actor: expect.any(String), reason: 'for the auditors' });
    });

    test('compensations run after a terminal failure, the last first, and are recorded as steps', async () => {
      const calls: string[] = [];
      const fn = define(async ({ step }) => {
        for (const name of ['flight', 'hotel']) {
          await step.run(name, () => void calls.push(name));
          step.compensate(name, ({ attempt }) => {
            calls.push(`undo ${name}`);
            if (name === 'hotel' && attempt === 1) throw new Error('once more');
          });
        }
        await step.sleep('nap', 10);
        await step.run('pay', () => {
          throw new NonRetryableError('declined');
        });
      });
      const run = await execute(fn);
      expect(run).toMatchObject({ status: 'failed', error: { message: 'declined' } });
      expect(calls).toEqual(['flight', 'hotel', 'undo hotel', 'undo hotel', 'undo flight']);
      const { steps } = await harness.client.getRunSteps(run.id);
      expect(steps.flatMap(({ type, name, status }) => (type === 'compensate' ? [`${name} ${status}`] : []))).toEqual([
        'compensate:hotel completed',
        'compensate:flight completed',
      ]);
    });

    test('a cancelled run is undone when that is asked for', async () => {
      const calls: string[] = [];
      const reached = Promise.withResolvers<void>();
      const fn = define(async ({ step }) => {
        await step.run('reserve', () => reached.resolve());
        step.compensate('reserve', () => void calls.push('release'));
        await step.waitForEvent('paid', { event: 'never.comes' });
      });
      await harness.provide([fn]);
      const runId = await start(fn);
      await reached.promise;
      // The registration follows the step's record: cancelled before that, there would be nothing to undo yet.
      await eventually(
        () => harness.client.getRun(runId),
        ({ status }) => status === 'waiting',
      );
      await harness.client.cancelRun(runId, 'changed my mind', { compensate: true });
      expect(await finish(runId)).toMatchObject({
        status: 'cancelled',
        error: { message: expect.stringContaining('mind') },
      });
      expect(calls).toEqual(['release']);
    });

    test('emitSync waits for the result and throws the failure', async () => {
      const good = define(async ({ event, step }) => step.run('a', () => event.data.n + 1));
      const bad = define(async () => {
        throw new NonRetryableError('not today');
      });
      await harness.provide([good, bad]);
      expect(await harness.client.emitSync(`start.${good.id}`, { n: 1 })).toMatchObject({
        status: 'completed',
        output: 2,
      });
      await expect(harness.client.emitSync(`start.${bad.id}`)).rejects.toMatchObject({
        code: 'RUN_FAILED',
        message: 'not today',
      });
    });

    test('an idempotency key starts its runs once', async () => {
      const fn = define(async () => 'once');
      await harness.provide([fn]);
      const options = { idempotencyKey: `key-${fn.id}` };
      const emitted = await Promise.all(
        Array.from({ length: 5 }, () => harness.client.emit(`start.${fn.id}`, {}, options)),
      );
      expect(new Set(emitted.map(({ eventId }) => eventId)).size).toBe(1);
      expect(new Set(emitted.flatMap(({ runIds }) => runIds)).size).toBe(1);
    });

    test('many runs at once complete, each with its own result', async () => {
      const fn = define(async ({ event, step }) => {
        const a = await step.run('a', () => event.data.n);
        await step.sleep('nap', 5);
        return step.run('b', () => a * 2);
      });
      await harness.provide([fn]);
      const runIds = await Promise.all(Array.from({ length: 60 }, (_, n) => start(fn, { n })));
      const runs = await Promise.all(runIds.map(finish));
      expect(runs.map(({ output }) => output)).toEqual(runIds.map((_, n) => n * 2));
    });

    test('a run of 1,000 steps in sequence completes', async () => {
      const fn = define(async ({ step }) => {
        let sum = 0;
        for (let i = 0; i < 1_000; i++) sum += await step.run('add', () => i);
        return sum;
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: 499_500 });
    });

    test('a run of 200 parallel branches completes', async () => {
      const fn = define(async ({ step }) => {
        const results = await step.map(
          'all',
          Array.from({ length: 200 }, (_, i) => i),
          async (item, s) => {
            const doubled = await s.run('double', () => item * 2);
            if (item % 50 === 0) await s.sleep('nap', 5);
            return s.run('add', () => doubled + 1);
          },
        );
        return results.reduce((sum, one) => sum + one, 0);
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: 200 * 199 + 200 });
    });

    testSteering({
      client: () => harness.client,
      define: (handler) => define(handler),
      provide: (functions) => harness.provide(functions),
      start,
      finish,
    });

    test('large results pass', async () => {
      const text = 'ä"\\\n'.repeat(200_000);
      const fn = define(async ({ step }) => {
        const big = await step.run('big', () => text);
        await step.sleep('nap', 5);
        return big.length;
      });
      expect(await execute(fn)).toMatchObject({ status: 'completed', output: text.length });
    });
  });
}
