export type { JsonOf, ResultOf } from './json-of.ts';
export type {
  AlternativeFilter,
  Alternatives,
  EventFilter,
  InvokeOptions,
  ParallelOptions,
  StepOptions,
} from './options.ts';
export { createStepClient, type ReadEvent } from './step-client.ts';
export type { AnyOf, Branch, Invokable, Published, StepClient } from './types.ts';
