import { describe, expect, test } from 'vitest';
import { ValidationError } from './errors.ts';
import { retryDelayMs, retryPolicyDefault, retryPolicyFrom } from './retry.ts';

describe('retryPolicyFrom', () => {
  test('has the defaults of the reference', () => {
    const defaults = { maxAttempts: 3, initialDelayMs: 1_000, backoffFactor: 2, maxDelayMs: 300_000 };
    expect(retryPolicyFrom(undefined)).toEqual(defaults);
    expect(retryPolicyFrom({ maxAttempts: 5, maxDelayMs: undefined })).toEqual({ ...defaults, maxAttempts: 5 });
  });

  test.each([
    ['maxAttempts', 0],
    ['maxAttempts', 1.5],
    ['maxAttempts', Number.POSITIVE_INFINITY],
    ['maxAttempts', '3'],
    ['initialDelayMs', -1],
    ['initialDelayMs', Number.NaN],
    ['initialDelayMs', Number.POSITIVE_INFINITY],
    ['backoffFactor', 0.5],
    ['backoffFactor', Number.POSITIVE_INFINITY],
    ['maxDelayMs', -1],
    ['maxDelayMs', Number.POSITIVE_INFINITY],
  ])('refuses %s of %s, naming the field', (field, value) => {
    const read = () => retryPolicyFrom({ [field]: value }, 'retry of function "f"');
    expect(read).toThrow(ValidationError);
    expect(read).toThrow(new RegExp(`^retry of function "f".${field} is ${value}`));
  });
});

describe('retryDelayMs', () => {
  test.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [9, 256_000],
    [10, 300_000],
    [5_000, 300_000],
  ])('after attempt %d waits %d ms', (attempt, ms) => {
    expect(retryDelayMs(retryPolicyDefault, attempt)).toBe(ms);
  });

  test('stays 0 where the first delay is 0, however many attempts there were', () => {
    expect(retryDelayMs({ ...retryPolicyDefault, initialDelayMs: 0 }, 5_000)).toBe(0);
  });
});
