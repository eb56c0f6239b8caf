import { ValidationError } from '@ironflow/core';
import type { IronflowFunction } from './types.ts';

/** @throws {ValidationError} when two functions share an id, or something is not a function of ours. */
export function functionsById(functions: readonly IronflowFunction[]): ReadonlyMap<string, IronflowFunction> {
  if (!Array.isArray(functions))
    throw new ValidationError('functions must be an array of what createFunction() returned.');
  const byId = new Map<string, IronflowFunction>();
  for (const fn of functions) {
    if (typeof fn?.id !== 'string' || typeof fn.handler !== 'function') {
      throw new ValidationError('functions holds something that createFunction() did not make.');
    }
    if (byId.has(fn.id)) throw new ValidationError(`Two functions have the id "${fn.id}". Give each its own.`);
    byId.set(fn.id, fn);
  }
  return byId;
}
