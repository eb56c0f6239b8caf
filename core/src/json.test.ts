import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LimitError, NotSerializableError } from './errors.ts';
import { assertJsonDepth, assertPayloadSize, canonicalJson, decodeJson, encodeJson } from './json.ts';
import { limits, utf8Length } from './limits.ts';

const nested = (levels: number, inner: unknown = 1): unknown =>
  Array.from({ length: levels }).reduce<unknown>((value, _, i) => (i % 2 === 0 ? [value] : { value }), inner);

describe('assertPayloadSize', () => {
  const max = limits.payloadBytesMax;
  test.each([
    ['a', max - 2, true],
    ['a', max - 1, false],
    ['é', max / 2 - 1, true],
    ['é', max / 2, false],
  ])('counts bytes: %s, %i times, is stored: %s', (character, times, isStored) => {
    const check = () => assertPayloadSize(encodeJson(character.repeat(times), 'text'), 'output of step "a"');
    if (isStored) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ name: 'LimitError', code: 'PAYLOAD_TOO_LARGE' }));
  });
});

describe('encodeJson', () => {
  test('gives back every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        expect(decodeJson(encodeJson(value, 'value'))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test.each([
    [undefined, 'null'],
    [Number.NaN, 'null'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [{ a: undefined, b: () => 1 }, '{}'],
    [[undefined], '[null]'],
  ])('writes %o as JSON does: %s', (value, text) => {
    expect(encodeJson(value, 'value')).toBe(text);
  });

  const circular: Record<string, unknown> = {};
  circular['self'] = circular;

  test.each([
    ['a BigInt', 1n],
    ['an object that contains itself', circular],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    [
      'an object that cannot be read',
      {
        toJSON: () => Promise.reject,
        get x(): never {
          throw new Error('no');
        },
      },
    ],
    [
      'an object whose toJSON throws',
      {
        toJSON() {
          throw new Error('not me');
        },
      },
    ],
    ['something too deep for the stack', nested(200_000)],
  ])('refuses %s with one line that names it', (_, value) => {
    const encode = () => encodeJson(value, 'output of step "charge"');
    expect(encode).toThrow(NotSerializableError);
    expect(encode).toThrow(/^The output of step "charge" .*\S$/);
  });

  test(`takes ${limits.jsonDepthMax} levels and not one more`, () => {
    expect(() => encodeJson(nested(limits.jsonDepthMax), 'data')).not.toThrow();
    expect(() => encodeJson(nested(limits.jsonDepthMax + 1), 'data')).toThrow(LimitError);
    expect(() => encodeJson(nested(limits.jsonDepthMax + 1), 'data')).toThrow(/^The data nests deeper than 64 levels/);
  });
});

describe('assertJsonDepth', () => {
  const levelsOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(levelsOf)) : 0;
  const text = fc
    .array(fc.constantFrom('"', '\\', '[', '{', ']', '}', 'é', 'a', 'x'.repeat(15), '\\'.repeat(31)), { maxLength: 40 })
    .map((parts) => parts.join(''));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 6 }, text, fc.array(tie('tree')), fc.dictionary(text, tie('tree'))),
  }));

  test('counts the levels of any value, whatever its strings hold', () => {
    fc.assert(
      fc.property(tree, fc.nat({ max: 6 }), (value, max) => {
        const check = () => assertJsonDepth(`${' '.repeat(max)}${JSON.stringify(value)}`, 'body', max);
        if (levelsOf(value) > max) expect(check).toThrow(LimitError);
        else expect(check).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  test('counts levels and nothing that stands in text', () => {
    const brackets = JSON.stringify('[{"\\'.repeat(200));
    expect(() => assertJsonDepth(brackets, 'body')).not.toThrow();
    expect(() => assertJsonDepth(`[${brackets},${'[]'.repeat(100)}]`, 'body')).not.toThrow();
    expect(() => assertJsonDepth('['.repeat(100_000), 'body')).toThrow(LimitError);
  });
});

describe('canonicalJson', () => {
  test('is the same text for objects that differ in the order of their keys', () => {
    const shuffled = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(shuffled)
        : value !== null && typeof value === 'object'
          ? Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, inner]) => [key, shuffled(inner)]),
            )
          : value;
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('tells numbers from text and arrays from objects', () => {
    expect(new Set([7, '7', [7], { 0: 7 }, null, '']).size).toBe(
      new Set([7, '7', [7], { 0: 7 }, null, ''].map(canonicalJson)).size,
    );
  });
});

test.each(['', 'plain', 'größer', '漢字', '🚀 and 🚀', 'half \ud800', '\udc00', 'a\ud800b', '\u07ff\u0800'])(
  'utf8Length counts the bytes of %j',
  (text) => expect(utf8Length(text)).toBe(Buffer.byteLength(text)),
);
