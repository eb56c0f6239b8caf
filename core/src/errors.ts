import { type ErrorCode, errorCatalogue, isErrorCode } from './error-catalogue.ts';

export interface IronflowErrorOptions {
  /** A code of the catalogue, or the caller's own. Default: the class's code. */
  readonly code?: string;
  /** Default: what the catalogue says of the code. */
  readonly retryable?: boolean;
  /** JSON that says more: the field at fault, the limit, the ids involved. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** HTTP status, where the error came from or goes to a call. */
  readonly status?: number;
  readonly cause?: unknown;
}

/**
 * The base of every error Ironflow throws. `code` is stable and listed in `docs/reference/errors.md`; `retryable` says
 * whether trying again can help; `details` is JSON about the thing at fault.
 */
export class IronflowError extends Error {
  override name = 'IronflowError';
  readonly code: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly status: number | undefined;

  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code ?? 'UNKNOWN_ERROR';
    this.retryable = options.retryable ?? (isErrorCode(this.code) && errorCatalogue[this.code].retryable);
    this.details = options.details;
    this.status = options.status;
  }
}

/** The connection to the engine was lost before its answer came; what was asked may or may not have happened. */
export class ConnectionError extends IronflowError {
  override name = 'ConnectionError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'CONNECTION_LOST', ...options });
  }
}

/** A request or an operation took longer than `timeoutMs`. */
export class TimeoutError extends IronflowError {
  override name = 'TimeoutError';
  readonly timeoutMs: number | undefined;
  constructor(message: string, options: IronflowErrorOptions & { readonly timeoutMs?: number } = {}) {
    super(message, { code: 'TIMEOUT', ...options });
    this.timeoutMs = options.timeoutMs;
  }
}

export interface ValidationIssue {
  /** Where in the input, for example `triggers.0.event`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** The input is wrong; `validationErrors` names each field at fault. */
export class ValidationError extends IronflowError {
  override name = 'ValidationError';
  readonly validationErrors: readonly ValidationIssue[];
  constructor(
    message: string,
    options: IronflowErrorOptions & { readonly validationErrors?: readonly ValidationIssue[] } = {},
  ) {
    const { validationErrors = [], ...rest } = options;
    const details = rest.details ?? (validationErrors.length > 0 ? { validationErrors } : undefined);
    super(message, { code: 'VALIDATION_ERROR', ...rest, ...(details && { details }) });
    this.validationErrors = validationErrors;
  }
}

/** An event's data does not fit the function's `schema`. */
export class SchemaValidationError extends ValidationError {
  override name = 'SchemaValidationError';
  constructor(
    message: string,
    options: IronflowErrorOptions & { readonly validationErrors?: readonly ValidationIssue[] } = {},
  ) {
    super(message, { code: 'SCHEMA_VALIDATION', ...options });
  }
}

/** Data of an older version of an event could not be lifted to the version that the function knows. */
export class UpcastError extends IronflowError {
  override name = 'UpcastError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'UPCAST_FAILED', ...options });
  }
}

/** A push request carries no signature, or one that no configured key made. */
export class SignatureError extends IronflowError {
  override name = 'SignatureError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'SIGNATURE_INVALID', ...options });
  }
}

/** No function has this id. */
export class FunctionNotFoundError extends IronflowError {
  override name = 'FunctionNotFoundError';
  constructor(functionId: string, options: IronflowErrorOptions = {}) {
    super(`Function "${functionId}" is not registered. Start a worker or register the endpoint that has it.`, {
      code: 'FUNCTION_NOT_FOUND',
      details: { functionId },
      ...options,
    });
  }
}

/** No run has this id, or it has passed its retention. */
export class RunNotFoundError extends IronflowError {
  override name = 'RunNotFoundError';
  constructor(runId: string, options: IronflowErrorOptions = {}) {
    super(`Run "${runId}" does not exist in this environment. It may have passed its retention.`, {
      code: 'RUN_NOT_FOUND',
      details: { runId },
      ...options,
    });
  }
}

/** What is asked of a run is not for its status: `details` has the status, and the message what can be done. */
export class RunStateError extends IronflowError {
  override name = 'RunStateError';
  readonly runId: string | undefined;
  constructor(message: string, options: IronflowErrorOptions & { readonly runId?: string } = {}) {
    super(message, { code: 'RUN_STATE', ...options });
    this.runId = options.runId;
  }
}

/** The run has no such step. */
export class StepNotFoundError extends IronflowError {
  override name = 'StepNotFoundError';
  constructor(step: string, options: IronflowErrorOptions & { readonly runId?: string } = {}) {
    const { runId, ...rest } = options;
    const where = runId === undefined ? '' : ` in run ${runId}`;
    super(`There is no step "${step}"${where}. Name one that the run has recorded, by its id or its name.`, {
      code: 'STEP_NOT_FOUND',
      details: { step, ...(runId !== undefined && { runId }) },
      ...rest,
    });
  }
}

export interface StepErrorOptions extends IronflowErrorOptions {
  readonly stepId?: string;
  readonly stepName?: string;
}

/**
 * A step failed for good: its attempts are used up, or its error was not retryable. `message` is that of the error which the
 * step's body threw last; `cause` is a likeness of that error (name, message, code), the same now and on every replay.
 */
export class StepError extends IronflowError {
  override name = 'StepError';
  readonly stepId: string | undefined;
  readonly stepName: string | undefined;
  constructor(message: string, options: StepErrorOptions = {}) {
    super(message, { code: 'STEP_FAILED', ...options });
    this.stepId = options.stepId;
    this.stepName = options.stepName;
  }
}

/** A step's body took longer than its `timeout`. */
export class StepTimeoutError extends StepError {
  override name = 'StepTimeoutError';
  readonly timeoutMs: number | undefined;
  constructor(message: string, options: StepErrorOptions & { readonly timeoutMs?: number } = {}) {
    super(message, { code: 'STEP_TIMEOUT', ...options });
    this.timeoutMs = options.timeoutMs;
  }
}

/** `step.waitForEvent`, or `step.waitForAny`, saw no event that fits within its timeout. */
export class WaitTimeoutError extends StepError {
  override name = 'WaitTimeoutError';
  constructor(message: string, options: StepErrorOptions = {}) {
    super(message, { code: 'WAIT_TIMEOUT', ...options });
  }
}

export interface InvokeErrorOptions extends StepErrorOptions {
  readonly functionId?: string;
  readonly childRunId?: string;
}

/** The function called by `step.invoke` failed or was cancelled; or no function has the id, of `step.invokeAsync` as well. */
export class InvokeError extends StepError {
  override name = 'InvokeError';
  readonly functionId: string | undefined;
  readonly childRunId: string | undefined;
  constructor(message: string, options: InvokeErrorOptions = {}) {
    super(message, { code: 'INVOKE_FAILED', ...options });
    this.functionId = options.functionId;
    this.childRunId = options.childRunId;
  }
}

/** The function called by `step.invoke` did not finish within the call's timeout. */
export class InvokeTimeoutError extends InvokeError {
  override name = 'InvokeTimeoutError';
  constructor(message: string, options: InvokeErrorOptions = {}) {
    super(message, { code: 'INVOKE_TIMEOUT', ...options });
  }
}

/** Throw it from a step or a handler to say that trying again cannot help: no retry follows, compensations run. */
export class NonRetryableError extends IronflowError {
  override name = 'NonRetryableError';
  constructor(message: string, options: Omit<IronflowErrorOptions, 'retryable'> = {}) {
    super(message, { code: 'NON_RETRYABLE', ...options, retryable: false });
  }
}

/**
 * The function took another path than its history: a recorded step has another kind, or was not reached again.
 * `details` has both sides. Keep code outside steps free of time, randomness and I/O.
 */
export class NonDeterministicError extends IronflowError {
  override name = 'NonDeterministicError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'NON_DETERMINISTIC', ...options });
  }
}

/** A value cannot be stored as JSON: a BigInt, a function, or an object that contains itself. */
export class NotSerializableError extends IronflowError {
  override name = 'NotSerializableError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'NOT_SERIALIZABLE', ...options });
  }
}

/** Something is larger, deeper or more than its limit; `details` has the limit's name and value. */
export class LimitError extends IronflowError {
  override name = 'LimitError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'LIMIT_EXCEEDED', ...options });
  }
}

/** The call needs a setting that was not given. */
export class NotConfiguredError extends IronflowError {
  override name = 'NotConfiguredError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'NOT_CONFIGURED', ...options });
  }
}

/** A run ended as failed, where its result was asked for. */
export class RunFailedError extends IronflowError {
  override name = 'RunFailedError';
  readonly runId: string | undefined;
  constructor(message: string, options: IronflowErrorOptions & { readonly runId?: string } = {}) {
    super(message, { code: 'RUN_FAILED', ...options });
    this.runId = options.runId;
  }
}

/** A run was cancelled, where its result was asked for. */
export class RunCancelledError extends IronflowError {
  override name = 'RunCancelledError';
  readonly runId: string | undefined;
  constructor(message: string, options: IronflowErrorOptions & { readonly runId?: string } = {}) {
    super(message, { code: 'RUN_CANCELLED', ...options });
    this.runId = options.runId;
  }
}

/** No API key, or one that the engine does not know (HTTP 401). */
export class UnauthenticatedError extends IronflowError {
  override name = 'UnauthenticatedError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'UNAUTHENTICATED', status: 401, ...options });
  }
}

/** The API key lacks the permission (HTTP 403). */
export class UnauthorizedError extends IronflowError {
  override name = 'UnauthorizedError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'UNAUTHORIZED', status: 403, ...options });
  }
}

/** The server asks for a licence (HTTP 402). This engine never does; other servers of the contract may. */
export class EnterpriseRequiredError extends IronflowError {
  override name = 'EnterpriseRequiredError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'ENTERPRISE_REQUIRED', status: 402, ...options });
  }
}

/** A statement that the code relies on does not hold: a defect of Ironflow. The message names the invariant. */
export class InvariantError extends IronflowError {
  override name = 'InvariantError';
  constructor(message: string, options: IronflowErrorOptions = {}) {
    super(message, { code: 'INTERNAL_ERROR', retryable: false, ...options });
  }
}

export function isIronflowError(error: unknown): error is IronflowError {
  return error instanceof IronflowError;
}

/**
 * Whether trying again may help: the flag of an Ironflow error; true for a `fetch` that could not reach its host; false for
 * everything else. (Inside `step.run` a plain `Error` is retried all the same: there the retry policy decides.)
 */
export function isRetryable(error: unknown): boolean {
  if (error instanceof IronflowError) return error.retryable;
  return error instanceof TypeError && /fetch/i.test(error.message);
}

/** Ends a `switch` over a union: the compiler proves it unreachable. */
export function assertNever(value: never): never {
  throw new InvariantError(`Unexpected value ${JSON.stringify(value)} where every case was thought to be handled.`);
}

/** Throws an InvariantError that names the invariant, when it does not hold. */
export function invariant(holds: unknown, statement: string): asserts holds {
  if (!holds) throw new InvariantError(`Invariant broken: ${statement}`);
}

export type { ErrorCode };
