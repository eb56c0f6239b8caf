// What an execution says, in the published contract's form.

import { type Payload, payloadValue, type StepRecord, type WaitRequest } from '@ironflow/core/wire';

/** A step record as the contract has it. */
export function contractStep(record: StepRecord): Readonly<Record<string, unknown>> {
  return {
    id: record.stepId,
    name: record.name,
    type: record.kind === 'compensate' ? 'compensate' : 'invoke',
    status: record.status,
    started_at: new Date(record.startedAt).toISOString(),
    ended_at: new Date(record.endedAt).toISOString(),
    duration_ms: record.endedAt - record.startedAt,
    output: record.output && payloadValue(record.output),
    compensation_for: record.kind === 'compensate' ? record.name.slice('compensate:'.length) : undefined,
    error: record.error && {
      message: record.error.message,
      retryable: record.error.retryable,
      stack: record.error.stack,
    },
  };
}

/** What publishing a message asks of a server of the contract. */
export function publishRequestOf(topic: string, data: Payload, idempotencyKey: string): string {
  return JSON.stringify({ topic, data: payloadValue(data), idempotencyKey });
}

export const PUBLISH_PATH = '/ironflow.v1.PubSubService/Publish';

/** The one wait that the contract lets an execution yield: the one begun last. The others are yielded by later executions. */
export function yieldOf(waits: readonly WaitRequest[]): Readonly<Record<string, unknown>> | undefined {
  const wait = waits.at(-1);
  if (wait === undefined) return undefined;
  switch (wait.kind) {
    case 'publish': // its journal publishes it
    case 'wait_for_any': // refused before it is begun
      return undefined;
    case 'sleep':
      return { step_id: wait.stepId, type: 'sleep', until: new Date(wait.until).toISOString() };
    case 'wait_for_event':
      return {
        step_id: wait.stepId,
        type: 'wait_for_event',
        event_filter: { event: wait.event, match: wait.match, timeout: `${wait.timeoutMs}ms` },
      };
    case 'invoke':
      return {
        step_id: wait.stepId,
        type: 'invoke_function',
        function_id: wait.functionId,
        input: payloadValue(wait.input),
        invoke_timeout_ms: wait.timeoutMs,
      };
    case 'invoke_async':
      return {
        step_id: wait.stepId,
        type: 'invoke_function_async',
        function_id: wait.functionId,
        input: payloadValue(wait.input),
      };
  }
}
