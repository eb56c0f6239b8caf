export { codeHashOf } from './code-hash.ts';
export { createFunction, ironflow } from './create-function.ts';
export { functionsById } from './functions-by-id.ts';
export { registrationOf } from './registration.ts';
export type {
  ConcurrencyConfig,
  FunctionConfig,
  FunctionContext,
  FunctionHandler,
  IronflowFunction,
  RunInfo,
  SecretsClient,
  Trigger,
} from './types.ts';
