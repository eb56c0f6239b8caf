// Expressions of triggers. An event starts the function when the expression is true of it. One that cannot be evaluated on an event
// (it asks for a field that is not there) is not true of it.

import type { JobEvent } from '@ironflow/core/wire';
import { ExpressionLanguage } from './expression.ts';
import { matchable } from './job-event.ts';

const language = new ExpressionLanguage(
  { event: 'map' },
  'triggers.expression',
  'Write it in CEL, with the variable event: event.data.priority > 5.',
);

export type TriggerExpression = (event: JobEvent) => boolean;

/**
 * Compiles an expression and checks its types.
 * @throws {ValidationError} that shows the place of the mistake.
 */
export function compileExpression(expression: string, what: string): TriggerExpression {
  const { evaluate } = language.condition(expression, what);
  return (event) => {
    try {
      const timestamp = new Date(event.timestamp).toISOString();
      return evaluate({ event: { ...(matchable(event) as object), timestamp } }) === true;
    } catch {
      return false;
    }
  };
}
