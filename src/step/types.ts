import type { AnyEventData, DataOf, Duration, EventDefinition, IronflowEvent } from '@ironflow/core';
import type { StepContext } from '../execution/index.ts';
import type { ResultOf } from './json-of.ts';
import type { Alternatives, EventFilter, InvokeOptions, ParallelOptions, StepOptions } from './options.ts';

/** What a function reaches its steps through. Every step's result is durable before its promise settles. */
export interface StepClient {
  /**
   * Runs `fn` once and remembers what it came to: on replay the stored result is returned and `fn` is not called. A failed
   * attempt is tried again by the function's retry policy; the error is thrown here once the attempts are used up.
   * @param name - Names the step in the history. The same name may come up again; the calls are told apart by their order.
   * @param fn - Its result must be JSON. It may run more than once when its outcome is lost: pass `idempotencyKey` on.
   * @throws {StepError} when the last attempt has failed; {StepTimeoutError} when that was for its time.
   * @example const receipt = await step.run('charge', () => chargeCard(event.data.amount), { timeout: '30s' });
   */
  run<T>(
    name: string,
    fn: (context: StepContext) => T | PromiseLike<T>,
    options?: StepOptions,
  ): Promise<ResultOf<Awaited<T>>>;

  /**
   * Parks the run until `duration` has passed. A parked run holds no worker.
   * @throws {ValidationError} when it is not a positive duration of at most 366 days.
   * @example await step.sleep('cool-down', '15m');
   */
  sleep(name: string, duration: Duration): Promise<void>;

  /**
   * Parks the run until an instant; one that is past is over at once.
   * @param date - A Date, or text that Date reads (`2027-01-31T09:00:00Z`).
   * @throws {ValidationError} when it is no date.
   */
  sleepUntil(name: string, date: Date | string): Promise<void>;

  /**
   * Waits for an event. Events that came after the run's start count, also those that came before this call.
   * @returns the event.
   * @throws {WaitTimeoutError} when none has come within `timeout` (default 7 days); {SchemaValidationError} when one has that
   *   does not fit the schema of its definition.
   * @example const approval = await step.waitForEvent('approval', { event: 'order.approved', match: 'data.orderId', timeout: '2d' });
   */
  waitForEvent<const D extends EventDefinition>(
    name: string,
    filter: EventFilter<D>,
  ): Promise<IronflowEvent<DataOf<D>>>;
  waitForEvent<TData = AnyEventData>(name: string, filter: EventFilter<string>): Promise<IronflowEvent<TData>>;

  /**
   * Waits for whichever of several events comes first; the others are then waited for no more. Of events that are all there already,
   * the oldest is taken.
   * @param name - Names the step. Left out, the keys do: `paid|cancelled`.
   * @param alternatives - An event for each key, and `timeout` (default 7 days).
   * @returns which it was, by its key, and the event.
   * @throws {WaitTimeoutError} when none has come within `timeout`.
   * @example
   * const answer = await step.waitForAny('outcome', { paid: { event: 'order.paid' }, cancelled: { event: 'order.cancelled' }, timeout: '2d' });
   * if (answer.which === 'paid') return answer.event.data.amount;
   */
  waitForAny<const A extends Alternatives>(name: string, alternatives: A): Promise<AnyOf<A>>;
  waitForAny<const A extends Alternatives>(alternatives: A): Promise<AnyOf<A>>;

  /**
   * Calls another function and waits for what it returns. The call is a run of its own; cancelling this one cancels it, unless
   * `cancelWithParent` is false.
   * @param fn - The function itself, which gives input and output their types; or its id.
   * @param input - What it finds in its `event.data`. Default `{}`.
   * @throws {InvokeError} when it failed; {InvokeTimeoutError} when it took longer than `timeout` (default 30 seconds).
   */
  invoke<const F extends Invokable>(fn: F, ...args: [...InputOf<F>, options?: InvokeOptions]): Promise<OutputOf<F>>;
  invoke<TOutput = unknown>(functionId: string, input?: unknown, options?: InvokeOptions): Promise<TOutput>;

  /** Starts another function and goes on; the run it starts lives for itself. */
  invokeAsync<const F extends Invokable>(fn: F, ...args: InputOf<F>): Promise<{ readonly runId: string }>;
  invokeAsync(functionId: string, input?: unknown): Promise<{ readonly runId: string }>;

  /**
   * Publishes a message to a topic; it starts no functions. The message is stored together with the step: there is one for each call,
   * whatever crashes in between.
   * @param topic - An exact name, such as `order-notifications`.
   * @param data - Must be JSON. Default `{}`.
   * @returns the message's id, and its number in the topic.
   */
  publish(topic: string, data?: unknown): Promise<Published>;

  /**
   * Registers what undoes a step. When the run fails for good (an error that nobody caught and that is not tried again), or is
   * cancelled with `compensate`, what is registered runs, the last first; each is a durable step `compensate:<stepName>`,
   * tried again by the function's retry policy. One that fails is recorded, and the others still run.
   * @param stepName - The step that `fn` undoes; once for each name.
   * @throws {ValidationError} when the step has a compensation already.
   * @example
   * const hotel = await step.run('book-hotel', () => book(event.data.hotel));
   * step.compensate('book-hotel', () => cancelBooking(hotel.id));
   */
  compensate(stepName: string, fn: (context: StepContext) => unknown): void;

  /**
   * Runs branches side by side. Each gets a step client of its own; its steps are told apart from those of other branches.
   * @returns the branches' results, in their order; with `onError: 'allSettled'`, an Error in the place of a failed one.
   */
  parallel<const B extends readonly Branch[]>(
    name: string,
    branches: B,
    options: ParallelOptions & { onError: 'allSettled' },
  ): Promise<{ -readonly [K in keyof B]: BranchResult<B[K]> | Error }>;
  parallel<const B extends readonly Branch[]>(
    name: string,
    branches: B,
    options?: ParallelOptions,
  ): Promise<{ -readonly [K in keyof B]: BranchResult<B[K]> }>;

  /** Runs one branch for each item. Options as for `parallel`. */
  map<I, R>(
    name: string,
    items: readonly I[],
    fn: (item: I, step: StepClient, index: number) => Promise<R>,
    options: ParallelOptions & { onError: 'allSettled' },
  ): Promise<(R | Error)[]>;
  map<I, R>(
    name: string,
    items: readonly I[],
    fn: (item: I, step: StepClient, index: number) => Promise<R>,
    options?: ParallelOptions,
  ): Promise<R[]>;
}

/** One of the alternatives: discriminated by `which`. */
export type AnyOf<A> = {
  [K in Exclude<keyof A & string, 'timeout'>]: { readonly which: K; readonly event: IronflowEvent<AnyEventData> };
}[Exclude<keyof A & string, 'timeout'>];

/** A function as `createFunction` makes it. */
export interface Invokable {
  readonly id: string;
  readonly handler: (context: never) => unknown;
}

/** What a function is called with: the data of its event. It may be left out where the function does not say what it needs. */
type InputOf<F extends Invokable> = F['handler'] extends (context: infer C) => unknown
  ? C extends { readonly event: IronflowEvent<infer D> }
    ? undefined extends D
      ? [input?: D]
      : [input: D]
    : [input?: unknown]
  : never;

/** What it returns, as JSON keeps it. */
type OutputOf<F extends Invokable> = ResultOf<Awaited<ReturnType<F['handler']>>>;

export interface Published {
  readonly eventId: string;
  /** Number of the message in its topic, from 1. */
  readonly sequence: number;
}

export type Branch = (step: StepClient) => Promise<unknown>;
type BranchResult<B> = B extends (step: StepClient) => Promise<infer R> ? R : never;
