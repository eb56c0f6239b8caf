import { NotConfiguredError } from '@ironflow/core';
import type { SecretsClient } from '../function/index.ts';

/** A read-only view of the secrets that were resolved for a function. */
export function createSecretsClient(secrets: Readonly<Record<string, string>>): SecretsClient {
  return {
    get(name) {
      const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      if (value !== undefined) return value;
      throw new NotConfiguredError(
        `Secret "${name}" is not available. Name it in the function's "secrets", and set it on the engine.`,
        { details: { secret: name } },
      );
    },
    has: (name) => Object.hasOwn(secrets, name),
  };
}
