// Steps that have ended, as the engine tells of them: in the memo of an assignment, and in the resolutions that follow it.

import { z } from 'zod';
import { stepNameFromId } from '../step-id.ts';
import { type MemoEntry, payloadText, type Resolution } from './job.ts';
import { jsonValue, parseInput } from './parse.ts';
import { count, failure, failureToWire, object, stepId, stepKind } from './parts-json.ts';

export function memoEntryToJson(entry: MemoEntry): string {
  return object(
    {
      step_id: entry.stepId,
      name: entry.name,
      kind: entry.kind,
      status: entry.status,
      wake: entry.wake,
      sequence: entry.sequence,
      error: entry.error && failureToWire(entry.error),
    },
    { output: entry.output === undefined ? 'null' : payloadText(entry.output) },
  );
}

export function resolutionToJson(resolution: Resolution): string {
  if (resolution.kind === 'retry') {
    return object({ kind: 'retry', wake: resolution.wake, step_id: resolution.stepId, attempt: resolution.attempt });
  }
  return object({ kind: 'settled', wake: resolution.wake }, { entry: memoEntryToJson(resolution.entry) });
}

export const memoEntry = z.object({
  step_id: stepId,
  name: z.string().default(''),
  kind: stepKind.optional(),
  status: z.enum(['completed', 'failed', 'timed_out']).default('completed'),
  output: jsonValue.default(null),
  error: failure.optional(),
  wake: count.optional(),
  sequence: count.optional(),
});

export function memoEntryFrom(wire: z.output<typeof memoEntry>, index: number): MemoEntry {
  return {
    stepId: wire.step_id,
    name: wire.name === '' ? stepNameFromId(wire.step_id) : wire.name,
    ...(wire.kind && { kind: wire.kind }),
    status: wire.status,
    output: { value: wire.output },
    ...(wire.error && { error: wire.error }),
    wake: wire.wake ?? 0,
    sequence: wire.sequence ?? index + 1,
  };
}

const resolutionSchema = z.union([
  z.object({ kind: z.literal('retry'), wake: count, step_id: stepId, attempt: count }),
  z.object({ kind: z.literal('settled'), wake: count, entry: memoEntry }),
]);

export function resolutionFromJson(input: unknown): Resolution {
  const wire = parseInput(resolutionSchema, input, 'resolution');
  if (wire.kind === 'retry') return { kind: 'retry', wake: wire.wake, stepId: wire.step_id, attempt: wire.attempt };
  return { kind: 'settled', wake: wire.wake, entry: memoEntryFrom(wire.entry, 0) };
}
