// The body of a step: how it is called, and what it is given.

import { type RetryPolicy, StepTimeoutError } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';

/** What a step's body is called with. */
export interface StepContext {
  /** Number of this attempt of the step, from 1. */
  readonly attempt: number;
  /** The same for every attempt of this step of this run, and for no other: pass it on to the outside world. */
  readonly idempotencyKey: string;
  /** Aborts when the step times out, the run is cancelled, or its lease is lost. */
  readonly signal: AbortSignal;
}

export interface BodyCall {
  readonly id: string;
  readonly name: string;
  readonly kind: 'run' | 'publish' | 'compensate';
  readonly body: (context: StepContext) => unknown;
  readonly timeoutMs: number | undefined;
  /** Its own retry policy; undefined for that of the function. */
  readonly retry?: RetryPolicy | undefined;
  /** Its start is recorded before it begins, and it is not started again while nobody knows how that ended. */
  readonly once?: boolean;
}

/** A body that went on past its timeout may have done its work: nobody knows, so it is not tried again. */
export function neverAgainAfterTimeout<R extends { readonly status: string; readonly error?: Failure }>(result: R): R {
  if (result.error === undefined || result.error.code !== 'STEP_TIMEOUT') return result;
  return { ...result, error: { ...result.error, retryable: false } };
}

export function timeoutError(name: string, timeoutMs: number): StepTimeoutError {
  const message = `Step "${name}" took longer than its timeout of ${timeoutMs} ms.`;
  const error = new StepTimeoutError(message, { timeoutMs, details: { timeoutMs } });
  delete error.stack; // it would show a timer, and nothing of the step
  return error;
}

/** The bodies of an execution that asked for their signals; once it is over, why. */
export interface RunningBodies {
  readonly aborts: Set<AbortController>;
  over: Error | undefined;
}

/** Makes the abort signal only for a body that asks for it, aborted already when it asks too late. */
export class LazyStepContext implements StepContext {
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly #execution: RunningBodies;
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  constructor(attempt: number, id: string, execution: RunningBodies) {
    this.attempt = attempt;
    this.idempotencyKey = id;
    this.#execution = execution;
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    this.#controller = new AbortController();
    const reason = this.#aborted?.reason ?? this.#execution.over;
    if (reason !== undefined) this.#controller.abort(reason);
    else this.#execution.aborts.add(this.#controller);
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#aborted = { reason };
    this.#controller?.abort(reason);
  }

  release(): void {
    if (this.#controller !== undefined) this.#execution.aborts.delete(this.#controller);
  }
}
