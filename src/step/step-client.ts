import {
  assertSubject,
  type Duration,
  type EventDefinition,
  eventNameOf,
  type IronflowEvent,
  limits,
  parseDuration,
  type RetryConfig,
  retryPolicyFrom,
  StepScope,
  utf8Length,
  ValidationError,
} from '@ironflow/core';
import { invokeTimeoutMsDefault, type Payload, waitTimeoutMsDefault } from '@ironflow/core/wire';
import { type Execution, payloadFrom, type StepContext } from '../execution/index.ts';
import type {
  AlternativeFilter,
  Alternatives,
  EventFilter,
  InvokeOptions,
  ParallelOptions,
  StepOptions,
} from './options.ts';
import { runBranches } from './parallel.ts';
import type { Branch, Invokable, Published, StepClient } from './types.ts';

/** What an event that was waited for becomes for the function: data of the latest version, and as its definition says. */
export type ReadEvent = (
  event: IronflowEvent,
  definition: EventDefinition | undefined,
) => IronflowEvent | Promise<IronflowEvent>;

/** What all branches of an execution share. */
export interface StepSettings {
  readonly stepTimeoutMs?: number | undefined;
  /** The function's policy. */
  readonly retry?: RetryConfig | undefined;
  readonly readEvent?: ReadEvent | undefined;
}

/** The steps of one branch of one execution. */
class ExecutionSteps {
  readonly #execution: Execution;
  readonly #scope: StepScope;
  readonly #settings: StepSettings;
  /** Set when the branch goes no further: its later steps never settle. */
  #stopped = false;
  /** Branches under way. */
  readonly #branches = new Set<ExecutionSteps>();

  constructor(execution: Execution, scope: StepScope, settings: StepSettings) {
    this.#execution = execution;
    this.#scope = scope;
    this.#settings = settings;
  }

  run(name: string, body: (context: StepContext) => unknown, options: StepOptions = {}): Promise<unknown> {
    return this.#step(name, () => {
      if (typeof body !== 'function')
        throw new ValidationError(`Step "${name}" has no body. Pass a function as the second argument.`);
      const timeoutMs =
        options.timeout === undefined
          ? this.#settings.stepTimeoutMs
          : parseDuration(options.timeout, `timeout of step "${name}"`);
      const { effect = 'idempotent' } = options;
      if (effect !== 'idempotent' && effect !== 'once')
        throw new ValidationError(`effect of step "${name}" is "${String(effect)}". Use "idempotent" or "once".`);
      const retry =
        options.retry === undefined
          ? undefined
          : retryPolicyFrom({ ...this.#settings.retry, ...options.retry }, `retry of step "${name}"`);
      return this.#execution.call({
        id: this.#nextId(name),
        name,
        kind: 'run',
        body,
        timeoutMs,
        retry,
        once: effect === 'once',
      });
    });
  }

  sleep(name: string, duration: Duration): Promise<void> {
    return this.#step(name, () => {
      const until = this.#execution.now() + parseDuration(duration, `duration of step "${name}"`);
      return this.#sleepUntil(name, until);
    });
  }

  sleepUntil(name: string, date: Date | string): Promise<void> {
    return this.#step(name, () => {
      const until = date instanceof Date ? date.getTime() : typeof date === 'string' ? Date.parse(date) : Number.NaN;
      if (!Number.isFinite(until)) {
        throw new ValidationError(
          `Step "${name}" should sleep until "${String(date)}", which is no date. Use a Date or text such as "2027-01-31T09:00:00Z".`,
        );
      }
      return this.#sleepUntil(name, until);
    });
  }

  waitForEvent(name: string, filter: EventFilter): Promise<IronflowEvent> {
    return this.#step(name, () => {
      const definition = typeof filter?.event === 'object' ? (filter.event ?? undefined) : undefined;
      const named = filter?.event == null ? undefined : eventNameOf(filter.event);
      const { event, match } = eventToWaitFor(name, { ...filter, event: named as string }); // checked there
      const timeoutMs = waitTimeoutMs(name, filter.timeout);
      const waited = this.#execution.wait(
        { stepId: this.#nextId(name), name, kind: 'wait_for_event', event, timeoutMs, ...(match && { match }) },
        eventFrom,
      ) as Promise<IronflowEvent>; // eventFrom makes one
      const { readEvent } = this.#settings;
      return readEvent === undefined ? waited : waited.then((came) => readEvent(came, definition));
    });
  }

  waitForAny(first: string | Alternatives, second?: Alternatives): Promise<{ which: string; event: IronflowEvent }> {
    const { timeout, ...filters } = (typeof first === 'string' ? second : first) ?? {};
    const name = typeof first === 'string' ? first : Object.keys(filters).join('|');
    return this.#step(name, () => {
      const alternatives = Object.entries(filters).map(([key, filter]) => {
        const { event, match } = eventToWaitFor(`${name}.${key}`, filter as AlternativeFilter); // `timeout` is the only other key
        return { key, event, ...(match && { match }) };
      });
      if (alternatives.length === 0 || alternatives.length > limits.alternativesMax) {
        throw new ValidationError(
          `Step "${name}" waits for any of ${alternatives.length} events. Give it 1 to ${limits.alternativesMax}: { paid: { event: "order.paid" }, cancelled: { event: "order.cancelled" } }.`,
        );
      }
      const request = { stepId: this.#nextId(name), name, kind: 'wait_for_any' as const, alternatives };
      const waited = this.#execution.wait({ ...request, timeoutMs: waitTimeoutMs(name, timeout) }, (output) => {
        const { which, event } = output as { readonly which: string; readonly event: unknown }; // as the engine records it
        return { which, event: eventFrom(event) };
      }) as Promise<{ which: string; event: IronflowEvent }>;
      const { readEvent } = this.#settings;
      if (readEvent === undefined) return waited;
      return waited.then(async ({ which, event }) => ({ which, event: await readEvent(event, undefined) }));
    });
  }

  invoke(called: string | Invokable, input?: unknown, options: InvokeOptions = {}): Promise<unknown> {
    const functionId = idOf(called);
    return this.#step(functionId, () => {
      assertCalled('invoke', called);
      const timeoutMs =
        options.timeout === undefined
          ? invokeTimeoutMsDefault
          : parseDuration(options.timeout, `timeout of invoke "${functionId}"`);
      return this.#execution.wait(
        {
          input: inputFrom(input, `input of invoke "${functionId}"`),
          stepId: this.#nextId(functionId),
          name: functionId,
          kind: 'invoke',
          functionId,
          timeoutMs,
          ...(options.cancelWithParent === false && { childStays: true }),
        },
        (output) => output,
      );
    });
  }

  invokeAsync(called: string | Invokable, input?: unknown): Promise<{ readonly runId: string }> {
    const functionId = idOf(called);
    return this.#step(functionId, () => {
      assertCalled('invokeAsync', called);
      const request = {
        input: inputFrom(input, `input of invokeAsync "${functionId}"`),
        stepId: this.#nextId(functionId),
        name: functionId,
        kind: 'invoke_async' as const,
        functionId,
      };
      return this.#execution.wait(request, (output) => ({
        runId: (output as { readonly run_id: string }).run_id, // what the engine records for this kind
      })) as Promise<{ readonly runId: string }>;
    });
  }

  parallel(name: string, branches: readonly Branch[], options: ParallelOptions = {}): Promise<unknown[]> {
    return this.#step(name, () => {
      if (!Array.isArray(branches))
        throw new ValidationError(`parallel "${name}" needs an array of functions, one for each branch.`);
      const wrong = branches.findIndex((branch) => typeof branch !== 'function');
      if (wrong >= 0) {
        throw new ValidationError(
          `Branch ${wrong} of parallel "${name}" is no function. Write each branch as async (step) => …, not as its result.`,
        );
      }
      const scoped = branches.map((branch, index) => {
        const steps = new ExecutionSteps(this.#execution, this.#scope.branch(name, index), this.#settings);
        return {
          start: () => {
            this.#branches.add(steps);
            return branch(steps as unknown as StepClient); // it has every method of a StepClient
          },
          stop: () => steps.#stop(),
          ended: () => this.#branches.delete(steps),
        };
      });
      return runBranches(name, scoped, options);
    });
  }

  map<I>(
    name: string,
    items: readonly I[],
    fn: (item: I, step: StepClient, index: number) => Promise<unknown>,
    options?: ParallelOptions,
  ): Promise<unknown[]> {
    return this.#step(name, () => {
      if (!Array.isArray(items)) throw new ValidationError(`map "${name}" needs an array of items.`);
      if (typeof fn !== 'function')
        throw new ValidationError(`map "${name}" needs a function to call with each item, as its third argument.`);
      const branches = items.map((item: I, index) => (step: StepClient) => fn(item, step, index));
      return this.parallel(name, branches, options);
    });
  }

  publish(topic: string, data?: unknown): Promise<Published> {
    const name = `publish:${String(topic)}`;
    return this.#step('publish', () => {
      if (typeof topic !== 'string')
        throw new ValidationError('step.publish needs a topic: text such as "order-notifications".');
      assertSubject(topic, 'The topic of step.publish', { pattern: false });
      const message = payloadFrom(data ?? {}, `data of step "${name}"`);
      return this.#execution.publish({ id: this.#nextId(name), name, topic, message }) as Promise<Published>; // as engines answer
    });
  }

  compensate(stepName: string, body: (context: StepContext) => unknown): void {
    assertName(stepName);
    if (typeof body !== 'function')
      throw new ValidationError(`The compensation of step "${stepName}" has no body. Pass a function that undoes it.`);
    const name = `compensate:${stepName}`;
    // Ids of compensations know no branches, and a name is compensated once: the count is always 0.
    const id = idWithinLimit(StepScope.root(this.#execution.runId).next(name), name);
    const timeoutMs = this.#settings.stepTimeoutMs;
    this.#execution.compensate(stepName, { id, name, kind: 'compensate', body, timeoutMs });
  }

  #nextId(name: string): string {
    return idWithinLimit(this.#scope.next(name), name);
  }

  #sleepUntil(name: string, until: number): Promise<void> {
    const request = { stepId: this.#nextId(name), name, kind: 'sleep' as const, until };
    return this.#execution.wait(request, () => undefined) as Promise<void>;
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const branch of this.#branches) branch.#stop();
  }

  /** Checks what all steps share; wrong use becomes a rejection, as any failure of a step is. */
  #step<T>(name: string, begin: () => Promise<T>): Promise<T> {
    if (this.#stopped) return new Promise<T>(() => {});
    try {
      assertName(name);
      return awaitedOrNot(begin());
    } catch (error) {
      return awaitedOrNot(Promise.reject<T>(error));
    }
  }
}

/** The id of a function that is called; for another thing, a name that says so where it is refused. */
function idOf(called: string | Invokable): string {
  const id = typeof called === 'object' && called !== null ? called.id : called;
  return typeof id === 'string' && id !== '' ? id : '(no function)';
}

/** @throws {ValidationError} when it is neither a function nor an id. */
function assertCalled(method: 'invoke' | 'invokeAsync', called: unknown): void {
  const id = typeof called === 'object' && called !== null && 'id' in called ? called.id : called;
  if (typeof id === 'string' && id !== '') return;
  // What two modules import from each other is undefined in one of them while they load.
  const hint = called === undefined ? ' Look whether two modules import each other, or give the id.' : '';
  throw new ValidationError(
    `step.${method} needs a function that createFunction made, or its id; it was given ${shown(called)}.${hint}`,
  );
}

/** What is called finds an object in its `event.data`, as after an emit without data. */
function inputFrom(input: unknown, what: string): Payload {
  return payloadFrom(input === undefined ? {} : input, what);
}

/** A wrong argument, short enough for an error. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return value === null || typeof value !== 'object' ? String(value).slice(0, 40) : 'an object without an id';
}

/** What a filter asks for. @throws {ValidationError} */
function eventToWaitFor(
  name: string,
  filter: AlternativeFilter,
): { readonly event: string; readonly match: string | undefined } {
  const event = typeof filter?.event === 'string' ? filter.event.trim() : '';
  if (event === '')
    throw new ValidationError(
      `Step "${name}" waits for an event without a name. Give it: { event: "order.approved" }.`,
    );
  assertSubject(event, `The event of step "${name}",`, { pattern: false });
  if (filter.match !== undefined && typeof filter.match !== 'string')
    throw new ValidationError(`match of step "${name}" must be text: a path such as "data.requestId".`);
  return { event, match: filter.match?.trim() };
}

function waitTimeoutMs(name: string, timeout: Duration | undefined): number {
  return timeout === undefined ? waitTimeoutMsDefault : parseDuration(timeout, `timeout of step "${name}"`);
}

function assertName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || name === '')
    throw new ValidationError('A step needs a name: a string that is not empty.');
  if (name.length > limits.nameLengthMax) {
    throw new ValidationError(
      `The step name "${name.slice(0, 40)}…" is longer than ${limits.nameLengthMax} characters. Shorten it.`,
    );
  }
  if (!name.isWellFormed())
    throw new ValidationError(`The step name "${name}" contains half of a character. Cut text between characters.`);
}

function idWithinLimit(id: string, name: string): string {
  if (utf8Length(id) <= limits.stepIdBytesMax) return id;
  throw new ValidationError(
    `The id of step "${name.slice(0, 40)}…" is longer than ${limits.stepIdBytesMax} bytes. Nest fewer parallels, or give them shorter names.`,
  );
}

/** Whether a step is awaited is the function's business: its rejection must not end the process. */
function awaitedOrNot<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function eventFrom(output: unknown): IronflowEvent {
  const event = output as IronflowEvent & { readonly timestamp: string | Date }; // as the engine stored it
  return { ...event, version: event.version ?? 1, timestamp: new Date(event.timestamp) };
}

/** The step client of an execution's root. */
export function createStepClient(execution: Execution, settings: StepSettings = {}): StepClient {
  return new ExecutionSteps(execution, StepScope.root(execution.runId), settings) as unknown as StepClient; // typed by types.ts
}
