import type { Duration, EventDefinition, RetryConfig } from '@ironflow/core';

export interface StepOptions {
  /**
   * What is known of the body. `idempotent` (default): running it again does no harm, and it runs again when its worker is lost.
   * `once`: it must not. Its start is on record before it begins; when nobody knows how it ended, the step waits for a decision
   * (`client.decideStep`) instead of running again. Costs one more commit.
   */
  readonly effect?: 'idempotent' | 'once' | undefined;
  /** How long one attempt may take: milliseconds, or text such as `"30s"`. Default: the function's `stepTimeout`, or no limit. */
  readonly timeout?: Duration | undefined;
  /** When a failed attempt of this step is tried again. Default, for each field: the function's `retry`. */
  readonly retry?: RetryConfig | undefined;
}

export interface AlternativeFilter {
  /** The event's name. */
  readonly event: string;
  /**
   * Tells events of one name apart. A path, such as `data.requestId`: the event's value there must equal that of the event
   * which started the run. Or an expression in CEL over `event` (that came), its `data`, and `trigger` (the event that started the
   * run): `data.orderId == trigger.data.orderId && data.amount > 100`. Default: any event of the name.
   */
  readonly match?: string | undefined;
}

/** What `waitForAny` takes: an event for each key, and how long to wait (default 7 days). */
export type Alternatives = { readonly [key: string]: AlternativeFilter | Duration | undefined } & {
  readonly timeout?: Duration | undefined;
};

/** @typeParam TEvent - `string`, or the type of an event definition. */
export interface EventFilter<TEvent extends string | EventDefinition = string | EventDefinition> {
  /** The event's name, or what `defineEvent` made: its schema then checks the data and gives it its type. */
  readonly event: TEvent;
  /** See `AlternativeFilter`. */
  readonly match?: string | undefined;
  /** Default 7 days. */
  readonly timeout?: Duration | undefined;
}

export interface InvokeOptions {
  /** How long to wait for the other function. Default 30 seconds. */
  readonly timeout?: Duration | undefined;
  /** Whether the other run is cancelled when this one is, while it waits for it. Default true. */
  readonly cancelWithParent?: boolean | undefined;
}

export interface ParallelOptions {
  /** Branches under way at a time. Default: all. */
  readonly concurrency?: number | undefined;
  /**
   * `failFast` (default): the first failure is thrown at once; branches not begun are not, and those under way go no further
   * than the step they are in. `allSettled`: every branch runs to its end.
   */
  readonly onError?: 'failFast' | 'allSettled' | undefined;
}
