import { describe, expect, test } from 'vitest';
import { errorCatalogue, isErrorCode } from './error-catalogue.ts';
import * as errors from './errors.ts';

type ErrorClass = new (message: string, options?: errors.IronflowErrorOptions) => errors.IronflowError;

const classes = Object.entries(errors)
  .filter(([name]) => /^[A-Z].*Error$/.test(name))
  .map(([name, value]) => [name, value as unknown as ErrorClass] as const);

describe('the error classes', () => {
  test.each(classes)('%s has its name, a code of the catalogue, and what the options say', (name, Class) => {
    const plain = new Class('what happened');
    expect(plain).toBeInstanceOf(errors.IronflowError);
    expect(plain).toBeInstanceOf(Error);
    expect(plain.name).toBe(name);
    expect(String(plain)).toContain('what happened');
    expect(isErrorCode(plain.code)).toBe(true);
    expect(plain.details === undefined || Object.keys(plain.details).length > 0).toBe(true);

    const cause = new Error('why');
    const told = new Class('what happened', { details: { limit: 1 }, status: 418, cause });
    expect(told).toMatchObject({ details: { limit: 1 }, status: 418 });
    expect(told.cause).toBe(cause);
    expect(told.code).toBe(plain.code);
  });

  test('take their flag from the catalogue unless told otherwise', () => {
    expect(new errors.TimeoutError('slow').retryable).toBe(errorCatalogue.TIMEOUT.retryable);
    expect(new errors.IronflowError('x', { code: 'CONFLICT' }).retryable).toBe(true);
    expect(new errors.IronflowError('x', { code: 'MY_OWN' })).toMatchObject({ code: 'MY_OWN', retryable: false });
    expect(new errors.IronflowError('x', { code: 'MY_OWN', retryable: true }).retryable).toBe(true);
    expect(new errors.IronflowError('x').code).toBe('UNKNOWN_ERROR');
  });

  test('NonRetryableError stays what its name says', () => {
    expect(new errors.NonRetryableError('no', { retryable: true } as object).retryable).toBe(false);
    expect(new errors.NonRetryableError('no', { code: 'TIMEOUT' })).toMatchObject({
      code: 'TIMEOUT',
      retryable: false,
    });
  });

  test('ValidationError lists what is wrong where, in its details too', () => {
    const validationErrors = [{ path: 'triggers.0', message: 'needs event' }];
    expect(new errors.ValidationError('wrong', { validationErrors })).toMatchObject({
      validationErrors,
      details: { validationErrors },
    });
    expect(new errors.SchemaValidationError('wrong', { validationErrors })).toMatchObject({
      code: 'SCHEMA_VALIDATION',
      validationErrors,
    });
  });
});

describe('isRetryable', () => {
  test.each([
    [new errors.ConnectionError('lost'), true],
    [new errors.NonRetryableError('no'), false],
    [new errors.StepError('failed', { retryable: false }), false],
    [new TypeError('fetch failed'), true],
    [new TypeError('Failed to fetch'), true],
    [new TypeError('x is not a function'), false],
    [new Error('fetch failed'), false],
    ['fetch failed', false],
    [undefined, false],
  ])('%s: %s', (error, retryable) => {
    expect(errors.isRetryable(error)).toBe(retryable);
  });
});

describe('assertNever and invariant', () => {
  test('throw errors that say they are our defect, and are not to be retried', () => {
    expect(() => errors.assertNever('surprise' as never)).toThrow(/surprise/);
    expect(() => errors.invariant(true, 'one is one')).not.toThrow();
    expect(() => errors.invariant(0, 'a lease has a fence')).toThrow('Invariant broken: a lease has a fence');
    const thrown = new errors.InvariantError('x');
    expect(thrown).toMatchObject({ code: 'INTERNAL_ERROR', retryable: false });
  });
});

describe('isErrorCode', () => {
  test('knows the codes of the catalogue and nothing an object has by birth', () => {
    expect(isErrorCode('TIMEOUT')).toBe(true);
    for (const code of ['timeout', 'toString', '__proto__', '']) expect(isErrorCode(code)).toBe(false);
  });

  test('every code has an HTTP status that is an error', () => {
    for (const { status } of Object.values(errorCatalogue)) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
    }
  });
});
