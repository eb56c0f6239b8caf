export {
  Execution,
  type ExecutionOptions,
  type Journal,
  type Outcome,
  type StepContext,
} from './execution.ts';
export { pause } from './pause.ts';
export { payloadFrom } from './payload.ts';
export { systemTurns, type Turns } from './ports.ts';
