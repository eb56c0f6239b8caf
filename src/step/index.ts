export type { JsonOf } from './json-of.ts';
export type { AnyEventData, EventFilter, InvokeOptions, ParallelOptions, StepOptions } from './options.ts';
export { createStepClient } from './step-client.ts';
export type { Branch, StepClient } from './types.ts';
