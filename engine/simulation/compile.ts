// Programs as real functions of the SDK.

import { NonRetryableError } from '@ironflow/core';
import { createFunction, type FunctionContext, type IronflowFunction } from '../../src/function/index.ts';
import type { Alternatives, StepClient } from '../../src/step/index.ts';
import {
  attributePaths,
  failureOf,
  type Node,
  type ParallelNode,
  type Program,
  resultOf,
  type StepNode,
  withChildren,
} from './program.ts';
import { secretName, secretValues } from './secret.ts';

export interface BodyStart {
  readonly runId: string;
  readonly stepId: string;
  readonly name: string;
  readonly attempt: number;
  /** It must not run twice. */
  readonly once?: boolean;
}

/** What the outside world sees of bodies. */
export interface World {
  bodyStarted(start: BodyStart): void;
  /** Resolves after `ms` of the executing process's time. */
  pass(ms: number): Promise<void>;
}

/** Long enough that an awaited event always comes first; short enough to be over within the simulated time. */
const SENT_TIMEOUT = '2h';
const UNSENT_TIMEOUT_MS = 5_000;
const PERHAPS_TIMEOUT_MS = 9_000;
const INVOKE_TIMEOUT = '5h';
const WAIT_TIMEOUT = { always: SENT_TIMEOUT, never: UNSENT_TIMEOUT_MS, perhaps: PERHAPS_TIMEOUT_MS } as const;

const MATCH = {
  path: 'data.key',
  equal: 'event.data.key == trigger.data.key',
  in: 'data.key in [trigger.data.key]',
} as const;

/** The function of a program and of every program it invokes. */
export function compile(program: Program, world: World): IronflowFunction[] {
  return withChildren(program).map((one) =>
    createFunction(
      {
        id: one.id,
        triggers: [{ event: `start.${one.id}` }],
        retry: { maxAttempts: one.maxAttempts, initialDelayMs: 500, backoffFactor: 2, maxDelayMs: 4_000 },
        timeout: one.timeoutMs ?? 10 * 3_600_000,
        ...(one.recording !== undefined && { recording: true, recordingRetention: one.recording }),
        ...(one.secret === true && { secrets: [secretName] }),
        ...(one.attributes === true && { attributes: attributePaths }),
      },
      (context) => runAll(one.nodes, context.step, context, world),
    ),
  );
}

async function runAll(
  nodes: readonly Node[],
  step: StepClient,
  context: FunctionContext,
  world: World,
): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const node of nodes) results.push(await run(node, step, context, world));
  return results;
}

async function run(node: Node, step: StepClient, context: FunctionContext, world: World): Promise<unknown> {
  switch (node.kind) {
    case 'step':
      return runStep(node, step, context, world);
    case 'publish': {
      const { eventId, sequence } = await step.publish(node.topic, {
        key: context.event.data.key,
        secret: secretOf(context),
      });
      return eventId.startsWith('msg_') && sequence >= 1 ? 'published' : `published as ${eventId} ${sequence}`;
    }
    case 'sleep':
      if (node.until) await step.sleepUntil(node.name, new Date(context.event.timestamp.getTime() + node.ms));
      else await step.sleep(node.name, node.ms);
      return 'slept';
    case 'wait':
      try {
        const event = await step.waitForEvent(node.name, {
          event: node.event,
          timeout: WAIT_TIMEOUT[node.sent],
          ...(node.matched && { match: MATCH[node.form ?? 'path'] }),
        });
        return node.sent === 'perhaps' ? 'perhaps' : event.name;
      } catch (error) {
        if (!named(error, 'WaitTimeoutError')) throw error;
        if (node.sent === 'perhaps') return 'perhaps';
        throw new Error(`no ${node.event}`);
      }
    case 'waitAny':
      try {
        const alternatives = node.events.map((event, i) => [`e${i}`, { event, match: MATCH[node.form] }] as const);
        const timeout = node.sent.length === 0 ? UNSENT_TIMEOUT_MS : SENT_TIMEOUT;
        const all: Alternatives = { ...Object.fromEntries(alternatives), timeout };
        const { which, event } = await step.waitForAny(node.name, all);
        if (node.events[Number(which.slice(1))] !== event.name) return `${which} is ${event.name}`;
        return node.sent.length === 1 ? event.name : 'any';
      } catch (error) {
        throw named(error, 'WaitTimeoutError') ? new Error(`none of ${node.name}`) : error;
      }
    case 'invoke':
      try {
        return await step.invoke(node.child.id, { key: context.event.data.key }, { timeout: INVOKE_TIMEOUT });
      } catch (error) {
        throw named(error, 'InvokeError') ? new NonRetryableError(`${node.child.id} failed`) : error;
      }
    case 'invokeAsync':
      await step.invokeAsync(node.child.id, { key: context.event.data.key });
      return 'started';
    case 'parallel': {
      const results = await runParallel(node, step, context, world);
      return results.map((result) => (result instanceof Error ? `settled: ${result.message}` : result));
    }
    case 'catch':
      try {
        return await run(node.body, step, context, world);
      } catch (error) {
        return `caught: ${error instanceof Error ? error.message : String(error)}`;
      }
    case 'throw':
      if (context.run.attempt <= node.failures) throw new Error(`${node.name} failed`);
      return 'no throw';
  }
}

function runParallel(
  node: ParallelNode,
  step: StepClient,
  context: FunctionContext,
  world: World,
): Promise<readonly unknown[]> {
  const { name, branches, concurrency, settle, map } = node;
  const options = {
    onError: settle ? ('allSettled' as const) : ('failFast' as const),
    ...(concurrency !== undefined && { concurrency }),
  };
  const runBranch = (nodes: readonly Node[], branch: StepClient) => runAll(nodes, branch, context, world);
  if (map) return step.map(name, branches, runBranch, options);
  return step.parallel(
    name,
    branches.map((nodes) => (branch: StepClient) => runBranch(nodes, branch)),
    options,
  );
}

async function runStep(node: StepNode, step: StepClient, context: FunctionContext, world: World): Promise<unknown> {
  const result = await step.run(
    node.name,
    async ({ attempt, idempotencyKey }) => {
      world.bodyStarted({
        runId: context.run.id,
        stepId: idempotencyKey,
        name: node.name,
        attempt,
        once: node.once === true,
      });
      await world.pass(node.bodyMs);
      if (node.end === 'final') throw new NonRetryableError(failureOf(node, secretOf(context)));
      if (node.end === 'exhausted' || attempt <= node.failures) throw new Error(failureOf(node, secretOf(context)));
      return resultOf(node, secretOf(context));
    },
    node.once === true ? { effect: 'once' } : {},
  );
  const { name, undo } = node;
  if (undo !== undefined) {
    step.compensate(name, async ({ attempt, idempotencyKey }) => {
      world.bodyStarted({ runId: context.run.id, stepId: idempotencyKey, name: `compensate:${name}`, attempt });
      await world.pass(node.bodyMs);
      if (attempt <= undo.failures) throw new Error(`${name} cannot be undone`);
    });
  }
  return result;
}

/**
 * What code that kept the secret's first value has in memory; until it is set there is none. Once it was changed, only the engine
 * still knows that value.
 */
const secretOf = ({ secrets }: FunctionContext) => (secrets.has(secretName) ? secretValues[0] : undefined);

const named = (error: unknown, name: string) => error instanceof Error && error.name === name;
