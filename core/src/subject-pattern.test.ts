import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ValidationError } from './errors.ts';
import { assertSubject, isPattern, matchesPattern } from './subject-pattern.ts';

/** The grammar said again, as slowly as can be: token by token, from the left. */
function fits([wanted, ...moreWanted]: readonly string[], [token, ...moreTokens]: readonly string[]): boolean {
  if (wanted === undefined) return token === undefined;
  if (token === undefined) return false;
  if (wanted === '>' && moreWanted.length === 0) return true;
  return wanted !== '>' && (wanted === '*' || wanted === token) && fits(moreWanted, moreTokens);
}

const token = fc.constantFrom('a', 'b', 'ab', 'order', '');
const subject = fc.array(token, { minLength: 1, maxLength: 5 });
const pattern = fc.array(fc.oneof(token, fc.constantFrom('*', '>', 'a*', '>a')), { minLength: 1, maxLength: 5 });

describe('matchesPattern', () => {
  test.each([
    ['order.placed', 'order.placed', true],
    ['order.placed', 'order.placed.late', false],
    ['order.*', 'order.placed', true],
    ['order.*', 'order', false],
    ['order.*', 'order.placed.late', false],
    ['*.placed', 'order.placed', true],
    ['order.*.late', 'order.placed.late', true],
    ['order.>', 'order', false],
    ['order.>', 'order.placed.late', true],
    ['>', 'order', true],
    ['or*', 'order', false],
    ['Order', 'order', false],
  ])('%s and %s: %s', (pattern, subject, expected) => {
    expect(matchesPattern(pattern, subject)).toBe(expected);
  });

  test('agrees with a matcher that looks at one token after the other', () => {
    fc.assert(
      fc.property(pattern, subject, (wanted, tokens) => {
        expect(matchesPattern(wanted.join('.'), tokens.join('.'))).toBe(fits(wanted, tokens));
      }),
      { numRuns: 2_000 },
    );
  });

  test('matches an exact name with itself alone', () => {
    fc.assert(
      fc.property(subject, subject, (a, b) => {
        expect(matchesPattern(a.join('.'), b.join('.'))).toBe(a.join('.') === b.join('.'));
      }),
    );
  });
});

describe('assertSubject', () => {
  const exact = (text: string) => () => assertSubject(text, 'The event name', { pattern: false });

  test.each(['order.placed', 'a', 'team/order', 'bestellung.größe', '🧾.paid', 'a*b', 'x'.repeat(255)])(
    'takes %j as a name',
    (text) => {
      expect(exact(text)).not.toThrow();
    },
  );

  test.each([
    ['', 'is empty'],
    ['x'.repeat(256), 'longer than 255'],
    ['a\nb', 'control character'],
    ['a\u0000', 'control character'],
    ['half\ud83e', 'surrogate'],
    ['order.*', 'wildcard'],
    ['>', 'wildcard'],
  ])('refuses %j as a name: %s', (text, reason) => {
    expect(exact(text)).toThrow(ValidationError);
    expect(exact(text)).toThrow(new RegExp(`^The event name .*${reason}`, 's'));
  });

  test('takes wildcards in a pattern, with ">" at its end only', () => {
    for (const text of ['*', 'a.*.b', 'a.>', '*.>']) {
      expect(() => assertSubject(text, 'The trigger', { pattern: true })).not.toThrow();
      expect(isPattern(text)).toBe(true);
    }
    for (const text of ['>.a', 'a.>.b', '>.>']) {
      expect(() => assertSubject(text, 'The trigger', { pattern: true })).toThrow(/put it last/);
    }
    expect(isPattern('a*.b>')).toBe(false);
  });
});
