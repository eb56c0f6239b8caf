import { z } from 'zod';
import { ValidationError } from '../errors.ts';

/**
 * Reads a value from outside by its schema. Unknown fields are dropped.
 * @throws {ValidationError} that names each field at fault.
 */
export function parseInput<T extends z.ZodType>(schema: T, input: unknown, what: string): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const validationErrors = result.error.issues.map(({ path, message }) => ({
    path: path.map(String).join('.'),
    message,
  }));
  const first = validationErrors[0];
  const where = first === undefined || first.path === '' ? what : `${first.path} of the ${what}`;
  throw new ValidationError(`The ${where} is not right: ${first?.message ?? 'unknown reason'}.`, { validationErrors });
}

/** An object whose fields may come in camelCase or snake_case. The schema is written in camelCase. */
export function eitherCase<T extends z.ZodRawShape>(shape: T) {
  return z.preprocess(camelCaseKeys, z.object(shape));
}

function camelCaseKeys(input: unknown): unknown {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) return input;
  return Object.fromEntries(Object.entries(input).map(([key, value]) => [camelCase(key), value]));
}

function camelCase(key: string): string {
  if (!key.includes('_') || key.startsWith('__')) return key;
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Treats null and the empty string as absent, as the contract's clients do. */
export const optional = <T extends z.ZodType>(inner: T) =>
  z.preprocess((input) => (input === null || input === '' ? undefined : input), inner.optional());

/** Any JSON value that the transport has parsed. */
export const jsonValue = z.custom<import('../json.ts').Json>((value) => value !== undefined, 'is missing');
