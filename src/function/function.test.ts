import { ValidationError } from '@ironflow/core';
import { parseFunctionRegistration } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { codeHashOf, createFunction, functionsById, ironflow, registrationOf } from './index.ts';

const handler = async () => 'ok';
const define = (config: object) => () => createFunction({ id: 'f', triggers: [], ...config } as never, handler);

describe('createFunction', () => {
  test('takes every field of the reference, and keeps it', () => {
    const config = {
      id: 'process-order',
      name: 'Process Order',
      triggers: [{ event: 'order.*' }, { event: 'a', expression: 'event.data.n > 5' }, { cron: '0 9 * * *' }],
      retry: { maxAttempts: 5, initialDelayMs: 2_000, backoffFactor: 3 },
      timeout: 300_000,
      concurrency: { limit: 10, key: 'event.data.customerId' },
      mode: 'pull',
      actorKey: 'event.data.customerId',
      schema: z.object({ customerId: z.string() }),
      secrets: ['STRIPE_SECRET_KEY'],
      stepTimeout: '30s',
      recording: true,
      recordingRetention: '30d',
      attributes: { customer: 'data.customerId' },
    } as const;
    const fn = createFunction(config, handler);
    expect(fn).toEqual({ id: 'process-order', config, handler });
    expect(ironflow.createFunction).toBe(createFunction);
  });

  test.each<[string, object, RegExp]>([
    ['no id', { id: undefined }, /needs an id/],
    ['an empty id', { id: '' }, /needs an id/],
    ['an id with a wildcard', { id: 'orders.*' }, /^The function id "orders.\*" contains a wildcard/],
    ['a very long id', { id: 'x'.repeat(256) }, /longer than 255/],
    ['an id with a line break', { id: 'a\nb' }, /control character/],
    ['a name that is no text', { name: 7 }, /^name must be text.*function "f"/],
    ['no triggers', { triggers: undefined }, /^Function "f" needs triggers: an array/],
    ['a trigger in place of triggers', { triggers: { event: 'a' } }, /needs triggers: an array/],
    ['an empty trigger', { triggers: [{ event: 'a' }, {}] }, /^Trigger 1 of function "f" has neither/],
    ['no trigger at all', { triggers: [null] }, /^Trigger 0 of function "f" has neither/],
    ['an event that is no text', { triggers: [{ event: 5 }] }, /^The event of trigger 0 of function "f" must be text/],
    ['a wrong pattern', { triggers: [{ event: 'a.>.b' }] }, /^The event of trigger 0 .*put it last/],
    ['an empty cron', { triggers: [{ cron: ' ' }] }, /^The cron schedule of trigger 0/],
    ['too many triggers', { triggers: new Array(101).fill({ event: 'a' }) }, /has 101 triggers; at most 100/],
    ['a timeout of 0', { timeout: 0 }, /^timeout of function "f" is 0/],
    ['a wrong stepTimeout', { stepTimeout: 'half an hour' }, /^stepTimeout of function "f"/],
    ['a wrong retry', { retry: { maxAttempts: 0 } }, /^retry of function "f".maxAttempts is 0/],
    ['a concurrency without a limit', { concurrency: {} }, /^concurrency.limit is undefined/],
    ['a concurrency of 0', { concurrency: { limit: 0 } }, /^concurrency.limit is 0; it must be/],
    ['an unknown mode', { mode: 'stream' }, /^mode is "stream". Use "push" or "pull"/],
    ['secrets that are no names', { secrets: [''] }, /^secrets must be an array of names/],
    ['attributes that are paths alone', { attributes: ['data.id'] }, /^attributes of function "f" must be names with/],
    ['an attribute without a path', { attributes: { id: '' } }, /^The path of attribute "id" of function "f" is wrong/],
    ['a schema that is none', { schema: { parse: () => 1 } }, /^schema of function "f" is not a Standard Schema/],
  ])('refuses %s, saying what to write', (_, config, message) => {
    expect(define(config)).toThrow(ValidationError);
    expect(define(config)).toThrow(message);
  });

  test('refuses to do without a config or a handler', () => {
    expect(() => createFunction(undefined as never, handler)).toThrow(/needs a config object/);
    expect(() => createFunction({ id: 'f', triggers: [] }, undefined as never)).toThrow(/"f" has no handler/);
  });

  test.each<[string, object]>([
    ['every field left out', {}],
    ['every field undefined', { name: undefined, retry: undefined, timeout: undefined, schema: undefined }],
    ['a fraction of a millisecond', { timeout: 1_500.5 }],
    ['a duration as text', { timeout: '5m' }],
    [
      'every field',
      {
        name: 'F',
        attributes: { id: 'data.id' },
        timeout: 5,
        concurrency: { limit: 1 },
        retry: { backoffFactor: 1 },
        secrets: ['A'],
      },
    ],
  ])('makes nothing that an engine would refuse: %s', async (_, config) => {
    const fn = define(config)();
    for (const how of [{ mode: 'pull' }, { mode: 'push', endpointUrl: 'http://localhost:3000/api' }] as const) {
      const registration = registrationOf(fn, { ...how, codeHash: await codeHashOf(fn) });
      const definition = parseFunctionRegistration(JSON.parse(JSON.stringify(registration)));
      expect(definition).toMatchObject({ id: 'f', mode: how.mode });
      expect(Number.isInteger(definition.timeoutMs)).toBe(true);
    }
  });
});

describe('registrationOf', () => {
  test('says what the contract has, and keeps what is the SDK’s own to itself', () => {
    const fn = define({ schema: z.unknown(), stepTimeout: '1s', mode: 'push', secrets: [], actorKey: 'data.id' })();
    const wire = JSON.parse(JSON.stringify(registrationOf(fn, { mode: 'pull', codeHash: 'abc' })));
    expect(wire).toEqual({
      id: 'f',
      name: 'f',
      triggers: [],
      preferredMode: 'EXECUTION_MODE_PULL',
      actorKey: 'data.id',
      metadata: { __ironflow_code_hash: 'abc' },
    });
  });
});

describe('codeHashOf', () => {
  test('is 16 hex digits that change with the code of the handler and with nothing else', async () => {
    const a = createFunction({ id: 'a', triggers: [] }, async () => 1);
    const b = createFunction({ id: 'b', triggers: [{ event: 'x' }] }, async () => 1);
    const c = createFunction({ id: 'a', triggers: [] }, async () => 2);
    expect(await codeHashOf(a)).toMatch(/^[0-9a-f]{16}$/);
    expect(await codeHashOf(a)).toBe(await codeHashOf(b));
    expect(await codeHashOf(a)).not.toBe(await codeHashOf(c));
  });
});

describe('functionsById', () => {
  const fn = define({})();

  test('finds each by its id', () => {
    expect(functionsById([fn]).get('f')).toBe(fn);
  });

  test.each<[string, unknown, RegExp]>([
    ['no array', fn, /must be an array/],
    ['something else', [fn, async () => 1], /that createFunction\(\) did not make/],
    ['nothing', [undefined], /did not make/],
    ['two of one id', [fn, define({})()], /^Two functions have the id "f"/],
  ])('refuses %s', (_, functions, message) => {
    expect(() => functionsById(functions as never)).toThrow(ValidationError);
    expect(() => functionsById(functions as never)).toThrow(message);
  });
});
