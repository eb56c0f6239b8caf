import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { durationMsMax, parseDuration } from './duration.ts';
import { ValidationError } from './errors.ts';

describe('parseDuration', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
    [' 2 s ', 2_000],
    [250, 250],
    [0.2, 1],
    ['0.0001s', 1],
    ['366d', durationMsMax],
  ])('reads %j as %d ms', (duration, ms) => {
    expect(parseDuration(duration)).toBe(ms);
  });

  test.each([
    0,
    -1,
    Number.NaN,
    '',
    '0s',
    '-1s',
    '5',
    '5 minutes',
    '1h30m',
    'PT1H',
    '1e3s',
    '٣s',
    null,
    undefined,
    {},
    ['1s'],
    1n,
  ])('refuses %o, saying what it is of and how to write one', (duration) => {
    const parse = () => parseDuration(duration as never, 'timeout of step "pay"');
    expect(parse).toThrow(ValidationError);
    expect(parse).toThrow(/^timeout of step "pay" is .*not a positive duration.*"30s"/);
  });

  test.each(['367d', Number.POSITIVE_INFINITY, `${'9'.repeat(400)}d`])('refuses %j as too long', (duration) => {
    expect(() => parseDuration(duration)).toThrow(/longer than the 366 days allowed/);
  });

  test('gives back every whole number of every unit', () => {
    const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 366 }), fc.constantFrom(...Object.entries(units)), (n, [unit, ms]) => {
        expect(parseDuration(`${n}${unit}`)).toBe(n * ms);
      }),
    );
  });
});
