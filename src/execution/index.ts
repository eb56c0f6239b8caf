export {
  type BodyCall,
  Execution,
  type ExecutionOptions,
  type Journal,
  type Outcome,
  type StepContext,
} from './execution.ts';
export { systemTurns, type Turns } from './ports.ts';
