export type { StepContext } from './body.ts';
export { Execution, type ExecutionOptions } from './execution.ts';
export type { Journal, Outcome } from './journal.ts';
export { payloadFrom } from './payload.ts';
