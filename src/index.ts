// @ironflow/node: what an application uses, grouped by who uses it.

// Errors and helpers, the same in functions and in clients.
export {
  ConnectionError,
  createEventDefinitionRegistry,
  createUpcasterRegistry,
  type Duration,
  defineEvent,
  EnterpriseRequiredError,
  type ErrorCode,
  type EventDefinition,
  type EventDefinitionRegistry,
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
  type StandardSchema,
  StepError,
  StepTimeoutError,
  TimeoutError,
  UnauthenticatedError,
  UnauthorizedError,
  UpcastError,
  type UpcasterRegistry,
  ValidationError,
  WaitTimeoutError,
} from '@ironflow/core';
// Clients.
export {
  createClient,
  type EmitOptions,
  type EmitResult,
  type EmitSyncOptions,
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
  type SyncResult,
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
