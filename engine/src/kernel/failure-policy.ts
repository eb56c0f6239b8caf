import { type RetryPolicy, retryDelayMs } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';

export type FailureDecision =
  | { readonly kind: 'retry'; readonly attempt: number; readonly dueAt: number }
  | { readonly kind: 'final' };

/** What follows a failed attempt: the next one after its delay, or the end. `now` is when the failure is recorded. */
export function decideFailure(policy: RetryPolicy, failure: Failure, attempt: number, now: number): FailureDecision {
  if (!failure.retryable || attempt >= policy.maxAttempts) return { kind: 'final' };
  const delayMs = failure.retryAfterMs ?? retryDelayMs(policy, attempt);
  return { kind: 'retry', attempt: attempt + 1, dueAt: now + delayMs };
}
