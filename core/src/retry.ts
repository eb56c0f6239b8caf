import { ValidationError } from './errors.ts';

/** When a failed attempt is tried again. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly maxAttempts: number;
  /** Delay before the second attempt, in milliseconds. */
  readonly initialDelayMs: number;
  /** What each delay is multiplied by to give the next. */
  readonly backoffFactor: number;
  /** The longest delay, in milliseconds. */
  readonly maxDelayMs: number;
}

/** A policy as a user writes it: each field has a default. */
export type RetryConfig = { readonly [K in keyof RetryPolicy]?: RetryPolicy[K] | undefined };

export const retryPolicyDefault: RetryPolicy = {
  maxAttempts: 3,
  initialDelayMs: 1_000,
  backoffFactor: 2,
  maxDelayMs: 300_000,
};

/**
 * Fills in the defaults.
 * @throws {ValidationError} when a field is out of range.
 */
export function retryPolicyFrom(config: RetryConfig | undefined, what = 'retry'): RetryPolicy {
  const policy: RetryPolicy = {
    maxAttempts: config?.maxAttempts ?? retryPolicyDefault.maxAttempts,
    initialDelayMs: config?.initialDelayMs ?? retryPolicyDefault.initialDelayMs,
    backoffFactor: config?.backoffFactor ?? retryPolicyDefault.backoffFactor,
    maxDelayMs: config?.maxDelayMs ?? retryPolicyDefault.maxDelayMs,
  };
  const wrong = (field: keyof RetryPolicy, rule: string) =>
    new ValidationError(`${what}.${field} is ${policy[field]}; it must be ${rule}.`, {
      validationErrors: [{ path: `${what}.${field}`, message: `must be ${rule}` }],
    });
  if (!Number.isInteger(policy.maxAttempts) || policy.maxAttempts < 1)
    throw wrong('maxAttempts', 'a whole number of at least 1');
  if (!isAtLeast(policy.initialDelayMs, 0)) throw wrong('initialDelayMs', '0 or more milliseconds');
  if (!isAtLeast(policy.backoffFactor, 1)) throw wrong('backoffFactor', 'at least 1');
  if (!isAtLeast(policy.maxDelayMs, 0)) throw wrong('maxDelayMs', '0 or more milliseconds');
  return policy;
}

/** The delay after failed attempt number `attempt` (from 1), in milliseconds: exponential backoff with a cap. */
export function retryDelayMs(policy: RetryPolicy, attempt: number): number {
  // A factor grows past every number after enough attempts; nothing times that would be NaN.
  if (policy.initialDelayMs === 0) return 0;
  const delay = policy.initialDelayMs * policy.backoffFactor ** (attempt - 1);
  return Math.round(Math.min(delay, policy.maxDelayMs));
}

/** Infinity does not survive JSON, which is how a policy reaches the engine. */
const isAtLeast = (value: number, least: number) => Number.isFinite(value) && value >= least;
