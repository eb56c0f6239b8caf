import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ConnectionError } from './errors.ts';
import { createEventDefinitionRegistry, defineEvent } from './event-definition.ts';
import { createUpcasterRegistry } from './upcasters.ts';

type Data = Record<string, unknown>;

describe('an upcaster registry', () => {
  const registry = () => {
    const upcasters = createUpcasterRegistry();
    upcasters.register('order.placed', 1, 2, (data) => ({ ...(data as Data), currency: 'USD' }));
    upcasters.register('order.placed', 2, 3, (data) => ({ ...(data as Data), amount: (data as Data)['total'] }));
    return upcasters;
  };

  test('lifts data version by version, and leaves what it was given as it was', () => {
    const data = Object.freeze({ total: 5 });
    expect(registry().upcast('order.placed', data, 1, 3)).toEqual({ total: 5, currency: 'USD', amount: 5 });
    expect(registry().upcast('order.placed', data, 2, 3)).toEqual({ total: 5, amount: 5 });
    expect(registry().upcast('order.placed', data, 3, 3)).toBe(data);
    expect(data).toEqual({ total: 5 });
  });

  test('names the version that nothing leads on from', () => {
    expect(() => registry().upcast('order.placed', {}, 1, 4)).toThrow(
      expect.objectContaining({
        name: 'UpcastError',
        code: 'UPCAST_FAILED',
        retryable: false,
        details: { event: 'order.placed', fromVersion: 1, toVersion: 4, missingFrom: 3 },
      }),
    );
    const gap = createUpcasterRegistry();
    gap.register('order.placed', 2, 3, (data) => data);
    expect(() => gap.upcast('order.placed', {}, 1, 3)).toThrow(
      /from version 1 to 3: no upcaster leads on from version 1/,
    );
    expect(() => gap.upcast('unknown', {}, 1, 2)).toThrow(/"unknown"/);
    expect(() => gap.upcast('order.placed', {}, 3, 2)).toThrow(/from version 3 to 2/);
  });

  test('finds the way over upcasters that skip versions, also where one ends nowhere', () => {
    const upcasters = createUpcasterRegistry();
    const path = (step: string) => (data: unknown) => `${data}>${step}`;
    upcasters.register('e', 1, 3, path('3'));
    upcasters.register('e', 1, 2, path('2'));
    upcasters.register('e', 2, 5, path('5'));
    expect(upcasters.upcast('e', '1', 1, 5)).toBe('1>2>5');
    expect(upcasters.upcast('e', '1', 1, 3)).toBe('1>3');
  });

  test('says which upcaster threw; an error that may pass is left as it is', () => {
    const upcasters = createUpcasterRegistry();
    upcasters.register('e', 1, 2, (data) => (data as { list: string[] }).list.length);
    expect(() => upcasters.upcast('e', {}, 1, 2)).toThrow(/"e" from version 1 to 2 has thrown: TypeError/);
    upcasters.register('e', 2, 3, () => {
      throw new ConnectionError('away');
    });
    expect(() => upcasters.upcast('e', {}, 2, 3)).toThrow(ConnectionError);
  });

  test.each([
    ['', 1, 2, /empty/],
    ['a.*', 1, 2, /wildcard/],
    ['e', 0, 2, /version of "e" is 0/],
    ['e', 1, 1.5, /version of "e" is 1\.5/],
    ['e', 2, 2, /must lead to a later one/],
    ['e', 3, 2, /must lead to a later one/],
  ])('refuses to register %j from %d to %d', (name, from, to, message) => {
    expect(() => createUpcasterRegistry().register(name, from, to, (data) => data)).toThrow(message);
  });

  test('refuses the same pair twice, and what is no function', () => {
    expect(() => registry().register('order.placed', 1, 2, (data) => data)).toThrow(/already/);
    expect(() => registry().register('order.placed', 3, 4, 'lift' as never)).toThrow(/no function/);
  });
});

describe('an event definition registry', () => {
  const v1 = defineEvent({ name: 'order.placed', version: 1 });
  const v2 = defineEvent({ name: 'order.placed', version: 2, upcast: (data) => ({ ...(data as Data), two: true }) });
  const v3 = defineEvent({ name: 'order.placed', version: 3, upcast: (data) => ({ ...(data as Data), three: true }) });
  const registryOf = (
    ...definitions: Parameters<ReturnType<typeof createEventDefinitionRegistry>['register']>[0][]
  ) => {
    const registry = createEventDefinitionRegistry();
    for (const one of definitions) registry.register(one);
    return registry;
  };

  test('lifts data to the latest version, in whatever order the versions were registered', () => {
    const registry = registryOf(v3, v1, v2);
    expect(registry.upcast('order.placed', { one: true }, 1)).toEqual({ one: true, two: true, three: true });
    expect(registry.upcast('order.placed', {}, 2)).toEqual({ three: true });
    expect([
      registry.latestVersion('order.placed'),
      registry.get('order.placed'),
      registry.get('order.placed', 1),
    ]).toEqual([3, v3, v1]);
    registry.assertComplete();
  });

  test('leaves data of later versions and of other events as it is', () => {
    const data = {};
    expect(registryOf(v1, v2).upcast('order.placed', data, 7)).toBe(data);
    expect(registryOf(v1, v2).upcast('order.shipped', data, 1)).toBe(data);
    expect(registryOf().get('order.placed')).toBeUndefined();
  });

  test.each([
    ['a version is missing', [v1, v3], /Version 2 of event "order\.placed" is not registered/],
    [
      'a version has no upcast',
      [v1, v2, { name: v3.name, version: 3 }],
      /Version 3 of event "order\.placed" has no upcast/,
    ],
  ])('is not complete when %s', (_, definitions, message) => {
    expect(() => registryOf(...definitions).assertComplete()).toThrow(message);
  });

  test('is complete without the versions before its lowest', () => {
    registryOf(v2, v3).assertComplete();
    registryOf(v3).assertComplete();
    registryOf().assertComplete();
  });

  test('refuses a version twice', () => {
    expect(() => registryOf(v1, v2, v2)).toThrow(/Version 2 of "order\.placed" is registered already/);
  });
});

describe('defineEvent', () => {
  test.each([
    [undefined, /object/],
    [{ version: 1 }, /needs a name/],
    [{ name: 'a.*', version: 1 }, /wildcard/],
    [{ name: 'e' }, /version of "e" is undefined/],
    [{ name: 'e', version: 0 }, /version of "e" is 0/],
    [{ name: 'e', version: 1, upcast: (data: unknown) => data }, /no version before it/],
    [{ name: 'e', version: 2, upcast: 'x' }, /upcast of event "e" is no function/],
    [{ name: 'e', version: 1, schema: {} }, /not a Standard Schema/],
  ])('refuses %j', (definition, message) => {
    expect(() => defineEvent(definition as never)).toThrow(message);
  });

  test('gives back what it was given, and nobody changes it', () => {
    const schema = z.object({ id: z.string() });
    const definition = defineEvent({ name: 'e', version: 1, schema });
    expect(definition).toEqual({ name: 'e', version: 1, schema });
    expect(Object.isFrozen(definition)).toBe(true);
  });
});
