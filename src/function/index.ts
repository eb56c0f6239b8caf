export { codeHashOf } from './code-hash.ts';
export { createFunction, ironflow } from './create-function.ts';
export { functionsById } from './functions-by-id.ts';
export { registrationOf } from './registration.ts';
export type { SchemaIssue, SchemaOutput, SchemaResult, StandardSchema } from './standard-schema.ts';
export type {
  ConcurrencyConfig,
  EventDataOf,
  FunctionConfig,
  FunctionContext,
  FunctionHandler,
  IronflowFunction,
  RunInfo,
  SecretsClient,
  Trigger,
} from './types.ts';
