// What an execution comes to, and where it sends what it has to say.

import type { Failure, Payload, Report, ReportAnswer } from '@ironflow/core/wire';

export type Outcome =
  | { readonly status: 'completed' }
  /** `kept`: it can be continued. */
  | { readonly status: 'suspended'; readonly kept?: true }
  | { readonly status: 'failed'; readonly error: Failure }
  | { readonly status: 'dropped'; readonly reason: string };

/** Where an execution sends what it has to say. The answer comes when it is durable, or refused. */
export interface Journal {
  report(report: Report): Promise<ReportAnswer>;
  /** Where the engine does not store messages with their steps: publishes one, and resolves to what it said. */
  publish?(topic: string, data: Payload, idempotencyKey: string): Promise<unknown>;
}
