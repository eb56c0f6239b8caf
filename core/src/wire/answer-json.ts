// The engine's answer to a report, as JSON.

import { z } from 'zod';
import type { ReportAnswer } from './job.ts';
import { resolutionFromJson, resolutionToJson } from './memo-json.ts';
import { parseInput } from './parse.ts';
import { array, count, object, stepId } from './parts-json.ts';

/** The answer to one report, or (`code`) its refusal. */
export function answerToJson(answer: ReportAnswer): string {
  if (answer.status === 'refused') return object({ status: 'refused', code: answer.code, message: answer.message });
  return object(
    {
      status: 'accepted',
      ended: answer.ended,
      ...(answer.pausing && { pausing: true }),
      retries: answer.retries.map(({ stepId, attempt, dueAt }) => ({ step_id: stepId, attempt, due_at: dueAt })),
    },
    { resolutions: array(answer.resolutions.map(resolutionToJson)) },
  );
}

const answerSchema = z.union([
  z.object({ status: z.literal('refused'), code: z.string(), message: z.string() }),
  z.object({
    status: z.literal('accepted'),
    ended: z.boolean(),
    retries: z.array(z.object({ step_id: stepId, attempt: count, due_at: z.number() })),
    resolutions: z.array(z.unknown()),
    pausing: z.boolean().optional(),
  }),
]);

/** Reads the engine's answer to a report. @throws {ValidationError} */
export function answerFromJson(input: unknown): ReportAnswer {
  const wire = parseInput(answerSchema, input, 'answer to a report');
  if (wire.status === 'refused') return wire;
  return {
    status: 'accepted',
    ended: wire.ended,
    retries: wire.retries.map(({ step_id, attempt, due_at }) => ({ stepId: step_id, attempt, dueAt: due_at })),
    resolutions: wire.resolutions.map(resolutionFromJson),
    ...(wire.pausing === true && { pausing: true }),
  };
}
