import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ValidationError } from './errors.ts';
import { matchValueAt, resolveEventMatch } from './event-match.ts';
import { parseEventPath, valueAt } from './json-path.ts';

describe('parseEventPath', () => {
  test.each([
    ['data.requestId', ['data', 'requestId']],
    ['event.data.requestId', ['data', 'requestId']],
    ['$.data.requestId', ['data', 'requestId']],
    ['requestId', ['data', 'requestId']],
    [' order.id ', ['data', 'order', 'id']],
    ['data', ['data']],
    ['name', ['name']],
    ['metadata.trace', ['metadata', 'trace']],
    ['data.items[0].id', ['data', 'items', '0', 'id']],
    ['items[12]', ['data', 'items', '12']],
    ['data["a.b"].c', ['data', 'a.b', 'c']],
    [`data['it\\'s']`, ['data', "it's"]],
    ['data.größe', ['data', 'größe']],
    ['event.event', ['data', 'event']],
  ])('reads %s', (path, keys) => {
    expect(parseEventPath(path)).toEqual(keys);
  });

  test.each(['', ' ', '$.', 'event.', 'a..b', 'a.', 'a[', 'a[x]', 'a b', 'a["b', 'a]'])(
    'refuses %j, saying from where on it cannot be read',
    (path) => {
      expect(() => parseEventPath(path)).toThrow(ValidationError);
      expect(() => parseEventPath(path)).toThrow(/Write it like data\./);
    },
  );
});

describe('valueAt', () => {
  test('finds own properties only', () => {
    expect(valueAt({ a: [{ b: 0 }] }, ['a', '0', 'b'])).toBe(0);
    expect(valueAt({ a: null }, ['a'])).toBeNull();
    for (const keys of [['toString'], ['__proto__'], ['constructor', 'name'], ['a', 'b', 'c']]) {
      expect(valueAt({ a: 'text' }, keys)).toBeUndefined();
    }
  });
});

describe('resolveEventMatch', () => {
  const event = { id: 'evt_1', name: 'ask', data: { id: 7, order: { tags: ['x'] }, nothing: null } };

  test.each([
    ['data.id', 'data.id', '7'],
    ['id', 'id', '"evt_1"'],
    ['order.tags', 'data.order.tags', '["x"]'],
    ['nothing', 'data.nothing', 'null'],
    ['data.runId == "r1"', 'data.runId', '"r1"'],
    ["runId === 'it\\'s'", 'data.runId', '"it\'s"'],
    ['data.n == -1.50', 'data.n', '-1.5'],
    ['data.ok == true', 'data.ok', 'true'],
    ['data.gone==null', 'data.gone', 'null'],
    ['data.x == "a == b"', 'data.x', '"a == b"'],
  ])('%s compares %s with %s', (match, path, value) => {
    expect(resolveEventMatch(match, event)).toMatchObject({ path, value });
  });

  test.each([
    'data.missing',
    'data.a > 1',
    'data.a != 1',
    'a == b',
    'a == 1 && b == 2',
    'f(x)',
    'x == 01',
    'x == "\\q"',
  ])('refuses %s with a reason', (match) => {
    expect(() => resolveEventMatch(match, event)).toThrow(ValidationError);
  });

  test('is met by the very event it was made from, whatever the keys on the way', () => {
    const key = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.string({ minLength: 1, unit: fc.constantFrom('\\', '.', 'a', '"', "'") }),
    );
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 4 }), fc.jsonValue(), (keys, value) => {
        const data = keys.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
        const quoted = keys.map((name) => `["${name.replace(/["\\]/g, '\\$&')}"]`).join('');
        fc.pre(!/[=<>!&|()]/.test(quoted) && !keys.includes('__proto__'));
        const match = resolveEventMatch(`data${quoted}`, { data });
        expect(match.keys).toEqual(['data', ...keys]);
        expect(matchValueAt({ data }, match.path)).toBe(match.value);
        expect(matchValueAt({ data: 'another' }, match.path)).toBeUndefined();
      }),
      { numRuns: 1_000 },
    );
  });
});
