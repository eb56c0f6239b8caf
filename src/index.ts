// @ironflow/node: what an application uses, grouped by who uses it.

// Errors and helpers, the same in functions and in clients.
export {
  ConnectionError,
  type Duration,
  EnterpriseRequiredError,
  type ErrorCode,
  FunctionNotFoundError,
  InvokeError,
  InvokeTimeoutError,
  IronflowError,
  type IronflowEvent,
  isIronflowError,
  isRetryable,
  LimitError,
  NonDeterministicError,
  NonRetryableError,
  NotConfiguredError,
  NotSerializableError,
  type RetryConfig,
  RunCancelledError,
  RunFailedError,
  RunNotFoundError,
  SchemaValidationError,
  SignatureError,
  StepError,
  StepTimeoutError,
  TimeoutError,
  UnauthenticatedError,
  UnauthorizedError,
  ValidationError,
  WaitTimeoutError,
} from '@ironflow/core';
// Clients.
export {
  createClient,
  type EmitOptions,
  type EmitResult,
  type FunctionInfo,
  type IronflowClient,
  type IronflowClientConfig,
  type ListRunsOptions,
  type RegisterFunctionRequest,
  type Run,
  type RunAttempt,
  type RunError,
  type RunPage,
  type RunStatus,
  type RunStep,
  type WorkerInfo,
} from './client/index.ts';
export type { StepContext } from './execution/index.ts';
// Functions.
export {
  type ConcurrencyConfig,
  createFunction,
  type FunctionConfig,
  type FunctionContext,
  type FunctionHandler,
  type IronflowFunction,
  ironflow,
  type RunInfo,
  type SecretsClient,
  type StandardSchema,
  type Trigger,
} from './function/index.ts';
export { createSecretsClient } from './job/index.ts';
export type { Logger } from './logger.ts';
// Endpoints and workers.
export { type NodeRequest, type NodeResponse, type ServeConfig, type ServeHandler, serve } from './serve/index.ts';
export type {
  Branch,
  EventFilter,
  InvokeOptions,
  JsonOf,
  ParallelOptions,
  StepClient,
  StepOptions,
} from './step/index.ts';
export { createWorker, type Worker, type WorkerConfig } from './worker/index.ts';
