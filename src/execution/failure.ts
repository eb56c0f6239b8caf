// Errors between user code and history: what a body throws becomes a Failure that is stored; a stored Failure becomes the
// error that a function catches, the same one now and on every replay.
//   F1. Whatever was thrown, a Failure comes of it that is JSON and of bounded size.

import {
  assertJsonDepth,
  durationMsMax,
  InvokeError,
  InvokeTimeoutError,
  isIronflowError,
  isRetryable,
  limits,
  StepError,
  StepTimeoutError,
  WaitTimeoutError,
} from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';

/** What a body or a handler threw, as it is stored. A plain error is retryable; an error of ours says for itself. */
export function failureFrom(thrown: unknown): Failure {
  try {
    return isErrorLike(thrown) ? failureFromError(thrown) : { ...unnamed, message: cut(describe(thrown)) };
  } catch {
    return { ...unnamed, message: 'Something was thrown that cannot be read: looking at it throws as well.' };
  }
}

const unnamed = { name: 'Error', code: 'ERROR', retryable: true } as const;

interface ErrorLike {
  readonly name: unknown;
  readonly message: unknown;
  readonly stack?: unknown;
  readonly code?: unknown;
  readonly retryAfterMs?: unknown;
}

/** An Error, also one of another realm (a sandbox, a test runner), which no `instanceof` knows. */
function isErrorLike(thrown: unknown): thrown is ErrorLike {
  if (thrown instanceof Error) return true;
  if (thrown === null || typeof thrown !== 'object') return false;
  return (
    'name' in thrown && typeof thrown.name === 'string' && 'message' in thrown && typeof thrown.message === 'string'
  );
}

function failureFromError(error: ErrorLike): Failure {
  const said = error instanceof StepError ? ofStep(error) : isIronflowError(error) ? error.details : undefined;
  const details = said && detailsFrom(said);
  const { stack, code, retryAfterMs } = error;
  return {
    name: cut(String(error.name)),
    code: typeof code === 'string' ? cut(code) : 'ERROR',
    message: cut(String(error.message)),
    retryable: isIronflowError(error) ? isRetryable(error) : true,
    ...(typeof stack === 'string' && { stack: cut(stack) }),
    ...(details && { details }),
    ...(isDelay(retryAfterMs) && { retryAfterMs: Math.min(retryAfterMs, durationMsMax) }),
  };
}

/** A step's failure that nobody caught: which step it was, and what its body threw. */
function ofStep({ stepId, stepName, details, cause }: StepError): Readonly<Record<string, unknown>> {
  const thrown =
    isErrorLike(cause) && typeof cause.code === 'string'
      ? { name: cut(String(cause.name)), code: cut(cause.code), message: cut(String(cause.message)) }
      : undefined;
  return { ...details, stepId, stepName, ...(thrown && { cause: details?.['cause'] ?? thrown }) };
}

const isDelay = (value: unknown): value is number => typeof value === 'number' && value >= 0;

function cut(text: string): string {
  return text.length > limits.errorTextLengthMax ? `${text.slice(0, limits.errorTextLengthMax)}…` : text;
}

/** Details as they come back from storage; none, where they are no JSON, too long, or too deep for a report. */
function detailsFrom(details: Readonly<Record<string, unknown>>): Failure['details'] {
  try {
    const text = JSON.stringify(details);
    if (text.length > limits.errorTextLengthMax) return undefined;
    assertJsonDepth(`${REPORT_LEVELS}${text}`, 'details of an error');
    return JSON.parse(text) as Readonly<Record<string, unknown>>; // made from such a record
  } catch {
    return undefined;
  }
}

/** More levels than a report has around the details of an error. */
const REPORT_LEVELS = '['.repeat(16);

function describe(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  try {
    return JSON.stringify(thrown) ?? String(thrown);
  } catch {
    return String(thrown);
  }
}

/** The error that stands for a step's terminal failure. Its stack shows where the body threw: ours would show only how we came to tell. */
export function stepErrorFrom(failure: Failure, stepId: string, stepName: string, retryable = false): StepError {
  const error = errorOfStep(failure, stepId, stepName, retryable);
  error.stack = failure.stack ?? `${error.name}: ${error.message}`;
  return error;
}

function errorOfStep(failure: Failure, stepId: string, stepName: string, retryable: boolean): StepError {
  const { message, code, details } = failure;
  const options = { stepId, stepName, retryable, cause: likeness(failure), ...(details && { details }) };
  switch (code) {
    case 'STEP_TIMEOUT': {
      const timeoutMs = details?.['timeoutMs'];
      return new StepTimeoutError(message, { ...options, ...(typeof timeoutMs === 'number' && { timeoutMs }) });
    }
    case 'WAIT_TIMEOUT':
      return new WaitTimeoutError(message, options);
    case 'INVOKE_TIMEOUT':
      return new InvokeTimeoutError(message, { ...options, ...invoked(details) });
    case 'INVOKE_FAILED':
      return new InvokeError(message, { ...options, ...invoked(details) });
    default:
      return new StepError(message, options);
  }
}

function invoked(details: Failure['details']): { readonly functionId?: string; readonly childRunId?: string } {
  const { functionId, childRunId } = details ?? {};
  return {
    ...(typeof functionId === 'string' && { functionId }),
    ...(typeof childRunId === 'string' && { childRunId }),
  };
}

function likeness({ name, message, code, details }: Failure): Error {
  const error = new Error(message);
  error.name = name ?? 'Error';
  delete error.stack;
  return Object.assign(error, { code, ...(details && { details }) });
}
