import type {
  AnyEventData,
  DataOf,
  Duration,
  EventDefinition,
  IronflowEvent,
  RetryConfig,
  SchemaOutput,
  StandardSchema,
} from '@ironflow/core';
import type { Logger } from '../logger.ts';
import type { StepClient } from '../step/index.ts';

export interface Trigger {
  /**
   * Name of the event, or a pattern: `*` stands for one token between dots, `>` at the end for one or more. Or what
   * `defineEvent` made: its schema then checks the data and gives it its type.
   */
  readonly event?: string | EventDefinition | undefined;
  /** CEL over the event: only events for which it is true start the function. */
  readonly expression?: string | undefined;
  /** Cron schedule; each tick emits `event`. */
  readonly cron?: string | undefined;
}

export interface ConcurrencyConfig {
  /** Runs that may execute at a time. */
  readonly limit: number;
  /** Path in the event: the limit then holds for each value by itself. */
  readonly key?: string | undefined;
}

/**
 * @typeParam TSchema - Type of `schema`; it gives `event.data` its type.
 * @typeParam TTriggers - Type of `triggers`; without a schema, event definitions among them give `event.data` its type.
 */
export interface FunctionConfig<
  TSchema extends StandardSchema | undefined = undefined,
  TTriggers extends readonly Trigger[] = readonly Trigger[],
> {
  /** Unique among the functions of an environment. Part of every history: renaming makes another function. */
  readonly id: string;
  /** For people. Default: `id`. */
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  /** What starts it. May be empty: then only `step.invoke` does, or an event named like its id. */
  readonly triggers: TTriggers;
  /** When a failed step, or a failed handler, is tried again. Default: 3 attempts, after 1 s, 2 s, at most 5 min. */
  readonly retry?: RetryConfig | undefined;
  /** How long the function may execute without a pause, in milliseconds. Default 600,000. */
  readonly timeout?: number | undefined;
  readonly concurrency?: ConcurrencyConfig | undefined;
  /** How it prefers to be executed. */
  readonly mode?: 'push' | 'pull' | undefined;
  /** Path in the event: runs of one value go to one worker. */
  readonly actorKey?: string | undefined;
  /** Checks `event.data` and gives it its type. */
  readonly schema?: TSchema | undefined;
  /** Names of the secrets it may read. */
  readonly secrets?: readonly string[] | undefined;
  /**
   * What its runs are found by: names, each with the path in the event that starts a run, such as `{ orderId: 'data.order.id' }`.
   * At most 16. A path that finds no text, number or boolean gives that run no such attribute.
   */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  /** Timeout of every `step.run` that has none of its own. */
  readonly stepTimeout?: Duration | undefined;
  /** Keep an audit trail of what its runs do. Default false. */
  readonly recording?: boolean | undefined;
  /** How long each entry of it is kept: `7d`, `30d`, `7y`, `forever`. Default `90d`. */
  readonly recordingRetention?: string | undefined;
}

/** What a handler is called with. */
export interface FunctionContext<TData = AnyEventData, TEvent = IronflowEvent<TData>> {
  readonly event: TEvent;
  readonly step: StepClient;
  readonly run: RunInfo;
  readonly secrets: SecretsClient;
  /** Writes with the run's id. Silent while the function replays what it has done before. */
  readonly logger: Logger;
}

export interface RunInfo {
  readonly id: string;
  readonly functionId: string;
  /** Attempt of the run, from 1. */
  readonly attempt: number;
}

export interface SecretsClient {
  /** @throws {NotConfiguredError} when the secret is not declared by the function, or not known to the engine. */
  get(name: string): string;
  has(name: string): boolean;
}

export type FunctionHandler<TData = AnyEventData, TOutput = unknown, TEvent = IronflowEvent<TData>> = (
  context: FunctionContext<TData, TEvent>,
) => TOutput | PromiseLike<TOutput>;

/** A function as `createFunction` makes it; give it to `serve` or `createWorker`. */
export interface IronflowFunction<TData = AnyEventData, TOutput = unknown> {
  readonly id: string;
  readonly config: FunctionConfig<StandardSchema | undefined>;
  readonly handler: FunctionHandler<TData, TOutput>;
}

/** What a handler's event is: of the schema's type, else of the types of the trigger's definitions, told apart by name. */
export type EventOf<TSchema, TTriggers extends readonly Trigger[]> = TSchema extends StandardSchema
  ? IronflowEvent<SchemaOutput<TSchema>>
  : DefinitionsOf<TTriggers> extends infer D
    ? [D] extends [EventDefinition]
      ? [D] extends [never]
        ? IronflowEvent<AnyEventData>
        : IsUnion<D> extends true
          ? NamedEventOf<D>
          : IronflowEvent<DataOf<D>>
      : IronflowEvent<AnyEventData>
    : never;

export type EventDataOf<TSchema, TTriggers extends readonly Trigger[]> = EventOf<TSchema, TTriggers>['data'];

/** The definitions among the triggers; `undefined` or `string` is in the union when there is another trigger as well. */
type DefinitionsOf<TTriggers extends readonly Trigger[]> = TTriggers[number] extends infer T
  ? T extends { readonly event: infer E }
    ? E
    : undefined
  : never;

type NamedEventOf<D> =
  D extends EventDefinition<infer Name> ? Omit<IronflowEvent<DataOf<D>>, 'name'> & { readonly name: Name } : never;

type IsUnion<T, All = T> = T extends unknown ? ([All] extends [T] ? false : true) : never;
