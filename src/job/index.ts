// Job: a function, an assignment and a journal brought together. Every transport executes its jobs here.

import {
  type IronflowEvent,
  isRetryable,
  NonRetryableError,
  parseDuration,
  SchemaValidationError,
} from '@ironflow/core';
import { type Assignment, type Continuation, payloadValue } from '@ironflow/core/wire';
import { Execution, type Journal, type Outcome, type Turns } from '../execution/index.ts';
import type { FunctionContext, IronflowFunction, SchemaIssue } from '../function/index.ts';
import type { Logger } from '../logger.ts';
import { createStepClient } from '../step/index.ts';
import { createSecretsClient } from './secrets.ts';

export { createSecretsClient } from './secrets.ts';

export interface JobOptions {
  readonly fn: IronflowFunction;
  readonly assignment: Assignment;
  readonly journal: Journal;
  readonly turns: Turns;
  readonly logger: Logger;
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
export function createJob({ fn, assignment, journal, turns, logger, gate, retries = 'step', keeps }: JobOptions): Job {
  const deadline = new Deadline(turns, gate);
  deadline.set(assignment.timeLeftMs);
  const execution = new Execution({ assignment, journal, turns, retries, keeps, gate: () => deadline.gate() });
  const { stepTimeout } = fn.config;
  const step = createStepClient(execution, stepTimeout === undefined ? undefined : parseDuration(stepTimeout));
  const handler = async () => {
    const context: FunctionContext = {
      event: await eventFor(fn, assignment),
      step,
      run: { id: assignment.runId, functionId: assignment.functionId, attempt: assignment.attempt },
      secrets: createSecretsClient({}),
      logger: runLogger(logger, assignment, execution),
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

/** The handler's logger: says which run writes, and nothing while the function comes through what it wrote of before. */
function runLogger(logger: Logger, { functionId, runId }: Assignment, execution: Execution): Logger {
  const to =
    (level: keyof Logger): Logger['info'] =>
    (message, ...args) => {
      if (!execution.isReplaying) logger[level](`${functionId} ${runId}: ${message}`, ...args);
    };
  return { debug: to('debug'), info: to('info'), warn: to('warn'), error: to('error') };
}

async function eventFor(fn: IronflowFunction, { event }: Assignment): Promise<IronflowEvent> {
  return {
    id: event.id,
    name: event.name,
    version: event.version,
    data: (await checkedData(fn, payloadValue(event.data))) as IronflowEvent['data'], // JSON, or what the schema made of it
    timestamp: new Date(event.timestamp),
    ...(event.source !== undefined && { source: event.source }),
    ...(event.metadata && { metadata: payloadValue(event.metadata) as Readonly<Record<string, unknown>> }), // an object, by the wire
  };
}

/** The data as the function's schema gives it. @throws {SchemaValidationError} naming each path at fault. */
async function checkedData(fn: IronflowFunction, data: unknown): Promise<unknown> {
  const { schema } = fn.config;
  if (schema === undefined) return data;
  let result: Awaited<ReturnType<(typeof schema)['~standard']['validate']>>;
  try {
    result = await schema['~standard'].validate(data);
  } catch (error) {
    if (isRetryable(error)) throw error;
    throw new NonRetryableError(`The schema of function "${fn.id}" could not be applied: ${String(error)}`, {
      cause: error,
    });
  }
  if (result.issues === undefined) return result.value;
  const validationErrors = result.issues.map((issue) => ({ path: pathOf(issue), message: issue.message }));
  const list = validationErrors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  throw new SchemaValidationError(`The event's data does not fit the schema of function "${fn.id}": ${list}`, {
    validationErrors,
  });
}

function pathOf({ path = [] }: SchemaIssue): string {
  return path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
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
