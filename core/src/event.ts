import type { Json } from './json.ts';

/** An event as a function sees it. */
export interface IronflowEvent<TData = Json> {
  readonly id: string;
  readonly name: string;
  /** Version of the data's shape, from 1. */
  readonly version: number;
  readonly data: TData;
  readonly timestamp: Date;
  readonly source?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/**
 * Data of an event whose type was not given. It is `any` so that a function without a schema reads it without casts, as the
 * reference has it; give a `schema`, an event definition or a type argument to have it checked.
 */
// biome-ignore lint/suspicious/noExplicitAny: the reference's untyped functions read event.data.x
export type AnyEventData = any;
