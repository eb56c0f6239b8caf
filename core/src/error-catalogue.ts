// Every code a user can meet, in one place. `docs/reference/errors.md` has an entry for each; a test keeps the two equal.
// Codes are stable: one that is no longer used stays here.

export interface CatalogueEntry {
  /** Whether the same call may succeed when made again, unless the error at hand says otherwise. */
  readonly retryable: boolean;
  /** HTTP status when a REST call is refused with this code. */
  readonly status: number;
}

const entry = (retryable: boolean, status: number): CatalogueEntry => ({ retryable, status });

export const errorCatalogue = {
  // What any call can meet.
  UNKNOWN_ERROR: entry(false, 500),
  INTERNAL_ERROR: entry(true, 500),
  CONNECTION_LOST: entry(true, 503),
  UNAVAILABLE: entry(true, 503),
  TIMEOUT: entry(true, 504),
  NOT_CONFIGURED: entry(false, 400),
  // Input that is refused.
  VALIDATION_ERROR: entry(false, 400),
  SCHEMA_VALIDATION: entry(false, 400),
  UPCAST_FAILED: entry(false, 500),
  INVALID_JSON: entry(false, 400),
  UNSUPPORTED_MEDIA_TYPE: entry(false, 415),
  PAYLOAD_TOO_LARGE: entry(false, 413),
  LIMIT_EXCEEDED: entry(false, 400),
  NOT_SERIALIZABLE: entry(false, 400),
  NOT_FOUND: entry(false, 404),
  METHOD_NOT_ALLOWED: entry(false, 405),
  // Who may call.
  UNAUTHENTICATED: entry(false, 401),
  UNAUTHORIZED: entry(false, 403),
  ENTERPRISE_REQUIRED: entry(false, 402),
  SIGNATURE_MISSING: entry(false, 401),
  SIGNATURE_INVALID: entry(false, 401),
  // Functions and workers.
  FUNCTION_NOT_FOUND: entry(false, 404),
  FUNCTION_REGISTRATION_FAILED: entry(true, 500),
  REGISTRATION_FAILED: entry(true, 500),
  WORKER_NOT_REGISTERED: entry(true, 404),
  WORKER_ALREADY_RUNNING: entry(false, 409),
  // Runs and steps.
  RUN_NOT_FOUND: entry(false, 404),
  RUN_NOT_RUNNING: entry(false, 409),
  RUN_STATE: entry(false, 409),
  STEP_NOT_FOUND: entry(false, 404),
  RUN_FAILED: entry(false, 500),
  RUN_CANCELLED: entry(false, 409),
  STALE_EXECUTION: entry(false, 409),
  CONFLICT: entry(true, 409),
  ERROR: entry(true, 500),
  NON_RETRYABLE: entry(false, 500),
  STEP_FAILED: entry(true, 500),
  STEP_TIMEOUT: entry(true, 504),
  FUNCTION_TIMEOUT: entry(true, 504),
  WAIT_TIMEOUT: entry(false, 504),
  INVOKE_FAILED: entry(false, 500),
  INVOKE_TIMEOUT: entry(false, 504),
  NON_DETERMINISTIC: entry(false, 500),
  PUSH_FAILED: entry(true, 502),
  WORKER_LOST_JOB: entry(false, 502),
  STREAMING_NOT_SUPPORTED: entry(false, 501),
  NO_RESULTS: entry(false, 404),
  // Secrets.
  SECRET_NOT_FOUND: entry(false, 404),
  SECRET_IN_NAME: entry(false, 400),
  // The engine's own start.
  STORE_LOCKED: entry(false, 500),
  STORE_NEWER: entry(false, 500),
  PORT_IN_USE: entry(false, 500),
  // A move between stores.
  MOVE_REFUSED: entry(false, 500),
  MOVE_FAILED: entry(false, 500),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCatalogue, code);
}
