export {
  Execution,
  type ExecutionOptions,
  type Journal,
  type Outcome,
  type StepContext,
} from './execution.ts';
export { payloadFrom } from './payload.ts';
