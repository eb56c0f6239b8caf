// What scenarios are made of: nodes of programs, and what happens at its times.

import type {
  InvokeNode,
  Node,
  ParallelNode,
  Program,
  PublishNode,
  SleepNode,
  StepNode,
  ThrowNode,
  WaitAnyNode,
  WaitNode,
} from '../../program.ts';
import type { Scenario, Stage } from '../scenario.ts';

export const step = (name: string, options: Partial<StepNode> = {}): StepNode => ({
  kind: 'step',
  name,
  failures: 0,
  end: 'value',
  value: 7,
  bodyMs: 0,
  ...options,
});
export const sleep = (name: string, ms = 500, until = false): SleepNode => ({ kind: 'sleep', name, ms, until });
export const wait = (name: string, options: Partial<WaitNode> = {}): WaitNode => ({
  kind: 'wait',
  name,
  event: 'answer',
  sent: 'always',
  matched: false,
  ...options,
});
export const publish = (topic = 'orders'): PublishNode => ({ kind: 'publish', topic });
export const waitAny = (sent: readonly number[], form: WaitAnyNode['form'] = 'path'): WaitAnyNode => ({
  kind: 'waitAny',
  name: 'either',
  events: ['paid', 'cancelled'],
  sent,
  form,
});
export const invoke = (child: Program): InvokeNode => ({ kind: 'invoke', child });
export const invokeAsync = (child: Program): InvokeNode => ({ kind: 'invokeAsync', child });
export const caught = (body: Node): Node => ({ kind: 'catch', body });
export const handlerThrows = (failures: number): ThrowNode => ({ kind: 'throw', name: 'handler', failures });
export const parallel = (
  branches: readonly (readonly Node[])[],
  options: Partial<ParallelNode> = {},
): ParallelNode => ({
  kind: 'parallel',
  name: 'both',
  branches,
  concurrency: undefined,
  settle: false,
  map: false,
  ...options,
});
export const program = (nodes: readonly Node[], options: Partial<Program> = {}): Program => ({
  id: 'main',
  maxAttempts: 3,
  nodes,
  ...options,
});
export const child = (nodes: readonly Node[], options: Partial<Program> = {}): Program =>
  program(nodes, { id: 'child', ...options });

/** Starts the first program, and does something else at its times. */
const startAnd =
  (first: Program, ...more: ((stage: Stage) => void)[]) =>
  (stage: Stage): void => {
    stage.at(0, () => stage.begin(first));
    for (const one of more) one(stage);
  };
export const send =
  (ms: number, name = 'answer', key = 'key') =>
  ({ at, begin, client, cluster }: Stage): void =>
    at(ms, async () => {
      const [first] = cluster.options.programs;
      if (first !== undefined) await begin(first); // an event that comes before the run is none of its own
      await client.emit(name, { key }, `${name} ${key} ${ms}`);
    });
const cancelAt =
  (ms: number, first: Program, compensate = false) =>
  ({ at, begin, client }: Stage): void =>
    at(ms, async () => {
      const runId = await begin(first);
      if (runId !== undefined) await client.cancel(runId, compensate);
    });
export const undoable = (name: string, failures = 0, options: Partial<StepNode> = {}): StepNode =>
  step(name, { undo: { failures }, ...options });
/** Pauses the first run at a time, and resumes it after another. */
export const pauseAt =
  (ms: number, forMs: number) =>
  ({ at, begin, cluster, operator }: Stage): void =>
    at(ms, async () => {
      const [first] = cluster.options.programs;
      const runId = first && (await begin(first));
      if (runId !== undefined) await operator.pause(runId, forMs);
    });
/** Retries the first run at a time, when it has failed by then; a crash may have held it up. */
export const retryAt =
  (ms: number, fromStep?: string, before?: (operator: Stage['operator'], runId: string) => Promise<void>) =>
  ({ at, begin, cluster, operator }: Stage): void =>
    at(ms, async () => {
      const [first] = cluster.options.programs;
      const runId = first && (await begin(first));
      if (runId === undefined) return;
      await before?.(operator, runId);
      await operator.retry(runId, fromStep);
    });
/** Does something to a process, at a time; the scenario does not wait for it. */
export const meanwhile =
  (ms: number, work: (stage: Stage) => void) =>
  (stage: Stage): void =>
    stage.at(ms, async () => work(stage));

export interface Course {
  readonly nodes: readonly Node[];
  readonly more?: readonly ((stage: Stage) => void)[];
  readonly options?: Partial<Program>;
}

export function scenario(
  name: string,
  { nodes, more = [], options = {} }: Course,
  rest: Partial<Scenario> = {},
): Scenario {
  const first = program(nodes, options);
  return { name, programs: [first], course: startAnd(first, ...more), ...rest };
}

export function cancelled(name: string, ms: number, nodes: readonly Node[], rest: Partial<Scenario> = {}): Scenario {
  const first = program(nodes);
  return { name, programs: [first], course: startAnd(first, cancelAt(ms, first)), ...rest };
}

export function undone(name: string, ms: number, nodes: readonly Node[], rest: Partial<Scenario> = {}): Scenario {
  const first = program(nodes);
  return { name, programs: [first], course: startAnd(first, cancelAt(ms, first, true)), ...rest };
}

export const twoSteps = [step('one'), step('two')];
