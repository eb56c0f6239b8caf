// Job: a function, an assignment and a journal brought together. Every transport executes its jobs here.

import {
  createRedactor,
  type EventDefinitionRegistry,
  type IronflowEvent,
  parseDuration,
  type Redactor,
} from '@ironflow/core';
import { type Assignment, type Continuation, payloadValue } from '@ironflow/core/wire';
import { Execution, type Journal, type Outcome } from '../execution/index.ts';
import type { FunctionContext, IronflowFunction } from '../function/index.ts';
import type { Logger } from '../logger.ts';
import { createStepClient } from '../step/index.ts';
import type { Turns } from '../turns.ts';
import { eventReader, startingData } from './event-data.ts';
import { createSecretsClient } from './secrets.ts';

export { createSecretsClient } from './secrets.ts';

export interface JobOptions {
  readonly fn: IronflowFunction;
  readonly assignment: Assignment;
  readonly journal: Journal;
  readonly turns: Turns;
  readonly logger: Logger;
  /** Lifts the data of events to their latest version. */
  readonly eventDefinitions?: EventDefinitionRegistry | undefined;
  /** See ExecutionOptions. */
  readonly gate?: (() => Promise<void> | undefined) | undefined;
  readonly retries?: 'step' | 'run';
  readonly keeps?: (() => boolean) | undefined;
}

export interface Job {
  readonly execution: Execution;
  /** Runs the function. Resolves when the execution is over, or suspended. */
  run(): Promise<Outcome>;
  /** Goes on with a suspended one under a new lease. */
  continue(continuation: Continuation, journal: Journal): Promise<Outcome>;
}

/** A function and an assignment brought together. */
export function createJob({
  fn,
  assignment,
  journal,
  turns,
  logger,
  eventDefinitions,
  gate,
  retries = 'step',
  keeps,
}: JobOptions): Job {
  const deadline = new Deadline(turns, gate);
  deadline.set(assignment.timeLeftMs);
  const { secrets = {} } = assignment;
  const redactor = createRedactor(Object.values(secrets));
  const execution = new Execution({
    ...{ assignment, journal, turns, retries, redactor },
    // A secret that is given another value while the run waits is to be that one afterwards, as on replay.
    keeps: assignment.secrets === undefined ? keeps : undefined,
    gate: () => deadline.gate(),
  });
  const { stepTimeout } = fn.config;
  const step = createStepClient(execution, {
    stepTimeoutMs: stepTimeout === undefined ? undefined : parseDuration(stepTimeout),
    retry: fn.config.retry,
    readEvent: eventReader(eventDefinitions),
  });
  const handler = async () => {
    const context: FunctionContext = {
      event: await eventFor(fn, assignment, eventDefinitions),
      step,
      run: { id: assignment.runId, functionId: assignment.functionId, attempt: assignment.attempt },
      secrets: createSecretsClient(secrets),
      logger: runLogger(logger, assignment, execution, redactor),
    };
    return fn.handler(context);
  };
  return {
    execution,
    run: () => execution.run(handler),
    continue(continuation, next) {
      deadline.set(continuation.timeLeftMs);
      return execution.continue(continuation, next);
    },
  };
}

/**
 * The handler's logger: says which run writes, and nothing while the function comes through what it wrote of before. Values of
 * secrets are not written.
 */
function runLogger(
  logger: Logger,
  { functionId, runId }: Assignment,
  execution: Execution,
  redactor: Redactor | undefined,
): Logger {
  const to =
    (level: keyof Logger): Logger['info'] =>
    (message, ...args) => {
      if (execution.isReplaying) return;
      const line = [`${functionId} ${runId}: ${message}`, ...args] as const;
      if (redactor === undefined) logger[level](...line);
      else logger[level](redactor.text(line[0]), ...args.map((arg) => redactor.value(arg)));
    };
  return { debug: to('debug'), info: to('info'), warn: to('warn'), error: to('error') };
}

async function eventFor(
  fn: IronflowFunction,
  { event }: Assignment,
  eventDefinitions: EventDefinitionRegistry | undefined,
): Promise<IronflowEvent> {
  const { id, name, version } = event;
  const data = await startingData(fn, { name, version, data: payloadValue(event.data) }, eventDefinitions);
  return {
    id,
    name,
    version,
    data: data as IronflowEvent['data'], // JSON, or what the schema made of it
    timestamp: new Date(event.timestamp),
    ...(event.source !== undefined && { source: event.source }),
    ...(event.metadata && { metadata: payloadValue(event.metadata) as Readonly<Record<string, unknown>> }), // an object, by the wire
  };
}

/** The gate of a job: also shut for good once the engine has given the job to the function's timeout. */
class Deadline {
  readonly #turns: Turns;
  readonly #gate: JobOptions['gate'];
  #at = Number.POSITIVE_INFINITY;

  constructor(turns: Turns, gate: JobOptions['gate']) {
    this.#turns = turns;
    this.#gate = gate;
  }

  set(timeLeftMs: number | undefined): void {
    this.#at = timeLeftMs === undefined ? Number.POSITIVE_INFINITY : this.#turns.now() + timeLeftMs;
  }

  gate(): Promise<void> | undefined {
    return this.#turns.now() < this.#at ? this.#gate?.() : new Promise<never>(() => {});
  }
}
