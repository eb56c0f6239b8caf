// Expressions of triggers, in the Common Expression Language (cel.dev). An event starts the function when the expression is true of
// it. One that cannot be evaluated on an event (it asks for a field that is not there) is not true of it.

import { ValidationError } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import { Environment, ParseError } from '@marcbachmann/cel-js';
import { EvaluationCost, patternProblem } from './evaluation-cost.ts';
import { matchable } from './job-event.ts';

/** How large an expression may be; how much it may cost is bounded in evaluation-cost.ts. */
const environment = new Environment({ limits: { maxAstNodes: 500, maxDepth: 32 } }).registerVariable('event', 'map');

export type TriggerExpression = (event: JobEvent) => boolean;

/**
 * Compiles an expression and checks its types.
 * @throws {ValidationError} that shows the place of the mistake.
 */
export function compileExpression(expression: string, what: string): TriggerExpression {
  let evaluate: ReturnType<Environment['parse']>;
  try {
    evaluate = environment.parse(expression);
  } catch (error) {
    throw mistake(what, error instanceof ParseError ? error.message : String(error));
  }
  const checked = evaluate.check();
  if (!checked.valid) throw mistake(what, checked.error?.message ?? 'its types do not fit');
  if (checked.type !== 'bool' && checked.type !== 'dyn')
    throw mistake(what, `it is a ${checked.type}; a trigger needs one that is true or false`);
  const pattern = patternProblem(evaluate.ast);
  if (pattern !== undefined) throw mistake(what, `${pattern.problem}\n\n${pointedAt(expression, pattern.at)}`);
  const cost = new EvaluationCost(evaluate.ast);
  return (event) => {
    try {
      cost.begin();
      const timestamp = new Date(event.timestamp).toISOString();
      return evaluate({ event: { ...(matchable(event) as object), timestamp } }) === true;
    } catch {
      return false;
    }
  };
}

/** The line of the expression with the place marked, as the library shows it. */
function pointedAt(expression: string, at: number): string {
  const before = expression.slice(0, at).split('\n');
  const line = expression.split('\n')[before.length - 1] ?? '';
  const margin = `>${String(before.length).padStart(5)} | `;
  return `${margin}${line}\n${' '.repeat(margin.length + (before.at(-1)?.length ?? 0))}^`;
}

function mistake(what: string, problem: string): ValidationError {
  return new ValidationError(
    `${what} cannot be used: ${problem}\nWrite it in CEL, with the variable event: event.data.priority > 5.`,
    {
      validationErrors: [{ path: 'triggers.expression', message: problem }],
    },
  );
}
