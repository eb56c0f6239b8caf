// Errors between user code and history: what a body throws becomes a Failure that is stored; a stored Failure becomes the
// error that a function catches, the same one now and on every replay.

import {
  InvokeError,
  InvokeTimeoutError,
  isIronflowError,
  isRetryable,
  StepError,
  StepTimeoutError,
  WaitTimeoutError,
} from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';

/** What a body or a handler threw, as it is stored. A plain error is retryable; an error of ours says for itself. */
export function failureFrom(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) {
    return { name: 'Error', code: 'ERROR', message: describe(thrown), retryable: true };
  }
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'ERROR';
  const retryAfterMs =
    'retryAfterMs' in thrown && typeof thrown.retryAfterMs === 'number' ? thrown.retryAfterMs : undefined;
  return {
    name: thrown.name,
    code,
    message: thrown.message,
    retryable: isIronflowError(thrown) ? isRetryable(thrown) : true,
    ...(thrown.stack !== undefined && { stack: thrown.stack }),
    ...(isIronflowError(thrown) && thrown.details && { details: thrown.details }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function describe(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  try {
    return JSON.stringify(thrown) ?? String(thrown);
  } catch {
    return String(thrown);
  }
}

/** The error that stands for a step's terminal failure. */
export function stepErrorFrom(failure: Failure, stepId: string, stepName: string, retryable = false): StepError {
  const { message, code, details } = failure;
  const options = { stepId, stepName, retryable, cause: likeness(failure), ...(details && { details }) };
  switch (code) {
    case 'STEP_TIMEOUT':
      return new StepTimeoutError(message, options);
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
