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
