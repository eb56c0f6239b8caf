import { describe, expect, test } from 'vitest';
import { ValidationError } from './errors.ts';
import { assertAttributePaths, attributeFilter, attributesAt, attributeText } from './run-attributes.ts';
import { parseFunctionRegistration } from './wire/function.ts';

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, 'data.a']));

describe('declared attributes', () => {
  test.each([{}, { orderId: 'data.order.id' }, { 'a.b-c_D9': 'event.items[0]["a b"]' }, many(16)])(
    'are %j',
    (declared) => {
      expect(() => assertAttributePaths(declared, 'f')).not.toThrow();
    },
  );

  test.each<[unknown, RegExp]>([
    [null, /^attributes of function "f" must be names with paths/],
    [['data.id'], /must be names with paths/],
    ['data.id', /must be names with paths/],
    [many(17), /^Function "f" declares 17 attributes; at most 16/],
    [{ 'order id': 'data.id' }, /^The attribute name "order id" of function "f" cannot be used/],
    [{ __proto__x: 'data.id' }, /cannot be used/],
    [JSON.parse('{"__proto__":"data.id"}'), /cannot be used/],
    [{ '': 'data.id' }, /cannot be used/],
    [{ ['n'.repeat(65)]: 'data.id' }, /longer than 64 characters/],
    [{ id: 7 }, /^The path of attribute "id" of function "f" must be text/],
    [{ id: '' }, /^The path of attribute "id" of function "f" is wrong: A path must not be empty/],
    [{ id: 'data.items[x]' }, /is wrong: "data.items\[x\]" is not a path/],
    [{ id: `data.${'x'.repeat(300)}` }, /is wrong: .*longer than 255/],
  ])('are not %j, here nor at an engine', (declared, message) => {
    expect(() => assertAttributePaths(declared, 'f')).toThrow(ValidationError);
    expect(() => assertAttributePaths(declared, 'f')).toThrow(message);
    if (declared !== null) expect(() => parseFunctionRegistration({ id: 'f', attributes: declared })).toThrow(message);
  });

  test('are not in a definition that has none, so that it costs nothing', () => {
    for (const attributes of [undefined, null, {}])
      expect(parseFunctionRegistration({ id: 'f', attributes })).not.toHaveProperty('attributes');
    expect(parseFunctionRegistration({ id: 'f', attributes: { id: 'id' } })).toMatchObject({
      attributes: { id: 'id' },
    });
  });
});

describe('an attribute', () => {
  test.each([
    ['text', 'text'],
    ['Ünïcode 🚀', 'Ünïcode 🚀'],
    [42, '42'],
    [-0, '0'],
    [1.5e21, '1.5e+21'],
    [true, 'true'],
    [false, 'false'],
    ['x'.repeat(255), 'x'.repeat(255)],
    ['x'.repeat(256), undefined],
    ['', undefined],
    ['two\nlines', undefined],
    ['\u0000', undefined],
    ['\ud83d', undefined],
    [Number.NaN, undefined],
    [null, undefined],
    [undefined, undefined],
    [{ id: 1 }, undefined],
    [[1], undefined],
  ])('of %j is %j', (value, text) => {
    expect(attributeText(value)).toBe(text);
  });

  test('is what the path finds in the event; nothing, where it finds nothing that can be one', () => {
    const event = {
      name: 'order.placed',
      data: { order: { id: 42, lines: [{ sku: 'a' }] }, tier: null },
      metadata: { by: 'ada' },
    };
    const declared = {
      id: 'data.order.id',
      short: 'order.id',
      sku: 'event.data.order.lines[0].sku',
      kind: 'name',
      by: 'metadata.by',
      tier: 'data.tier',
      order: 'data.order',
      missing: 'data.nobody.knows',
      inherited: 'data.toString',
    };
    expect(Object.fromEntries(attributesAt(event, declared))).toEqual({
      id: '42',
      short: '42',
      sku: 'a',
      kind: 'order.placed',
      by: 'ada',
    });
  });

  test('is measured after it was redacted', () => {
    const secret = 's'.repeat(300);
    const redact = (text: string) => text.replaceAll(secret, '***');
    expect(attributesAt({ data: { a: `<${secret}>` } }, { a: 'data.a' }, redact)).toEqual([['a', '<***>']]);
  });
});

describe('a filter', () => {
  test('has the text that attributes are kept as', () => {
    expect(attributeFilter({ id: 42, tier: 'gold', vip: true })).toEqual({ id: '42', tier: 'gold', vip: 'true' });
  });

  test.each<[Record<string, unknown>, RegExp]>([
    [{ 'order id': '1' }, /^The attribute name "order id" of the filter cannot be used/],
    [{ id: undefined }, /^No run has attribute "id" with such a value/],
    [{ id: '' }, /it must be 1 to 255 characters/],
    [{ id: null }, /such a value/],
    [{ id: 'x'.repeat(256) }, /such a value/],
    [many(17), /at most 16 attributes, not 17/],
  ])('refuses %j', (asked, message) => {
    expect(() => attributeFilter(asked)).toThrow(ValidationError);
    expect(() => attributeFilter(asked)).toThrow(message);
  });
});
