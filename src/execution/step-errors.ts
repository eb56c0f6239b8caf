// Errors of steps that are called in the wrong place, or too often, or differently from before.

import { LimitError, limits, NonDeterministicError, NonRetryableError, ValidationError } from '@ironflow/core';
import type { StepKind } from '@ironflow/core/wire';

export function contradiction(stepId: string, name: string, recorded: StepKind, now: StepKind): NonDeterministicError {
  return new NonDeterministicError(
    `Step "${name}" is recorded in this run as ${recorded}, and the function now calls it as ${now}. ` +
      'Give each step a name of its own, and keep the order of steps the same for runs that are under way.',
    { details: { stepId, recorded, now } },
  );
}

export function unknownToContract(name: string, what: string): NonRetryableError {
  return new NonRetryableError(
    `Step "${name}" ${what}, which this server cannot see to: it speaks the published contract only.`,
  );
}

export function stepInCompensation(): ValidationError {
  return new ValidationError(
    'A step was called inside a compensation. A compensation is a step itself, and has none within: do its work in its own body.',
  );
}

export function tooManySteps(): LimitError {
  return new LimitError(
    `The run has ${limits.stepsPerRunMax} steps, as many as a run may have. Go on in another run: step.invoke or step.invokeAsync.`,
    { details: { limit: 'stepsPerRunMax', value: limits.stepsPerRunMax } },
  );
}
