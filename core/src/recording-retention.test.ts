import { expect, test } from 'vitest';
import { ValidationError } from './errors.ts';
import { parseRecordingRetention } from './recording-retention.ts';

const DAY = 86_400_000;

test.each([
  ['7d', 7 * DAY],
  ['30d', 30 * DAY],
  ['90d', 90 * DAY],
  ['1.5h', 5_400_000],
  ['2w', 14 * DAY],
  ['7y', 7 * 366 * DAY],
  ['100y', 100 * 366 * DAY],
  [' 10 s ', 10_000],
  ['forever', Number.POSITIVE_INFINITY],
  [undefined, 90 * DAY],
])('%s is kept for %d ms', (text, ms) => {
  expect(parseRecordingRetention(text)).toBe(ms);
});

test.each(['', '7', 'd', '0d', '-1d', '101y', '1e3d', 'for ever', '30 days', `${'9'.repeat(400)}d`])(
  '%j is none',
  (text) => {
    expect(() => parseRecordingRetention(text, 'f')).toThrow(ValidationError);
    expect(() => parseRecordingRetention(text, 'f')).toThrow(/recordingRetention of function "f" is .*"7y"/);
  },
);
