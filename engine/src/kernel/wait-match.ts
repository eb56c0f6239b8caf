// What a wait asks of an event beyond its name: a value at a path, found by an index; an expression in CEL, evaluated on what the
// index finds; or both, since an equality among the parts of an expression is looked up like a path.

import {
  canonicalJson,
  type EventMatch,
  encodeJson,
  eventPathText,
  isMatchExpression,
  type JsonText,
  LimitError,
  limits,
  resolveEventMatch,
  ValidationError,
  valueAt,
} from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import type { ASTNode } from '@marcbachmann/cel-js';
import { chainOf, childrenOf, type Expression, ExpressionLanguage } from './expression.ts';

const language = new ExpressionLanguage(
  { event: 'map', data: 'dyn', trigger: 'map' },
  'match',
  'Write a path (data.orderId), or CEL with the variables event (that came), data (of it) and trigger (the event that started the run): data.orderId == trigger.data.orderId && data.amount > 100.',
);

export interface WaitMatch {
  /** The place that is compared and the value it must have; both empty when no such is known. */
  readonly path: string;
  readonly value: string;
  /** An expression and all that it needs of the run, as JSON; null when path and value say all. */
  readonly expression: JsonText | null;
}

interface StoredExpression {
  readonly cel: string;
  /** What it asks of the event that started the run. */
  readonly trigger: unknown;
}

export const anyEvent: WaitMatch = { path: '', value: '', expression: null };

/**
 * Reads the `match` of a wait against the event that started the run.
 * @throws {ValidationError} when it is neither a path nor an expression, or asks for what that event does not have.
 */
export function resolveWaitMatch(match: string, runEvent: unknown): WaitMatch {
  if (!isMatchExpression(match)) return { ...fieldsOf(resolveEventMatch(match, runEvent)), expression: null };
  if (match.length > limits.matchExpressionLengthMax) {
    throw new LimitError(`A match expression has at most ${limits.matchExpressionLengthMax} characters.`, {
      details: { limit: 'matchExpressionLengthMax', value: limits.matchExpressionLengthMax },
    });
  }
  const { ast } = language.condition(match, `match ${JSON.stringify(match)}`);
  const trigger = neededOf(ast, match, runEvent);
  const expression = encodeJson({ cel: match, trigger } satisfies StoredExpression, 'match of a wait');
  if (expression.length > limits.matchExpressionBytesMax) {
    throw new LimitError(
      `match ${JSON.stringify(match.slice(0, 100))} needs more of the event that started the run than a wait can keep. Compare smaller values.`,
      { details: { limit: 'matchExpressionBytesMax', value: limits.matchExpressionBytesMax } },
    );
  }
  return { ...lookUpOf(ast, match, trigger), expression };
}

const fieldsOf = ({ path, value }: EventMatch) => ({ path, value });

/** The expression as the function wrote it. */
export function expressionText(expression: JsonText): string {
  return (JSON.parse(expression) as StoredExpression).cel; // as resolveWaitMatch made it
}

/** Whether an event that has the wait's value at its path is what it asks for. */
export function meetsExpression(expression: JsonText | null, event: JobEvent, fieldsOfEvent: () => unknown): boolean {
  if (expression === null) return true;
  const fields = fieldsOfEvent();
  const { evaluate, trigger } = compiled(expression);
  try {
    const whole = { ...(fields as object), timestamp: new Date(event.timestamp).toISOString() };
    return evaluate({ event: whole, data: (fields as { readonly data?: unknown }).data, trigger }) === true;
  } catch {
    return false; // it asks for a field that is not there
  }
}

/** Expressions that were used last, so that waits of one function cost one compilation. */
const cache = new Map<string, Expression>();
const CACHE_MAX = 1_000;

function compiled(stored: JsonText): Pick<Expression, 'evaluate'> & { readonly trigger: unknown } {
  const { cel, trigger } = JSON.parse(stored) as StoredExpression; // as resolveWaitMatch made it
  let expression = cache.get(cel);
  cache.delete(cel);
  expression ??= language.condition(cel, 'A stored match');
  cache.set(cel, expression);
  if (cache.size > CACHE_MAX) for (const [oldest] of [...cache].slice(0, 1)) cache.delete(oldest);
  return { evaluate: expression.evaluate, trigger };
}

/** The parts of the run's event that an expression asks for, at their places. */
function neededOf(ast: ASTNode, match: string, runEvent: unknown): unknown {
  const needed: Record<string, unknown> = {};
  const visit = (node: ASTNode): void => {
    const chain = chainOf(node);
    if (chain?.root === 'trigger') {
      const value = valueAt(runEvent, chain.keys);
      if (value === undefined && !/\bhas\s*\(|\?/.test(match)) {
        throw new ValidationError(
          `match ${JSON.stringify(match)} asks for trigger.${chain.keys.join('.')}, and the event that started the run has no value there. Ask with has(), or put the value into the starting event.`,
        );
      }
      if (value !== undefined) put(needed, chain.keys, value);
      return;
    }
    childrenOf(node).forEach(visit);
  };
  visit(ast);
  return needed;
}

function put(target: Record<string, unknown>, keys: readonly string[], value: unknown): void {
  if (keys.length === 0) Object.assign(target, value);
  let at = target;
  for (const [i, key] of keys.entries()) {
    if (i === keys.length - 1) at[key] = value;
    else {
      const inner = at[key];
      const next: Record<string, unknown> = { ...(inner !== null && typeof inner === 'object' ? inner : undefined) };
      at[key] = next;
      at = next;
    }
  }
}

/** An equality that must hold whatever the rest says, between a place in the event and a value known now: it is looked up. */
function lookUpOf(ast: ASTNode, match: string, trigger: unknown): Pick<WaitMatch, 'path' | 'value'> {
  if (ast.op === '&&') {
    for (const side of ast.args) {
      const found = lookUpOf(side, match, trigger);
      if (found.path !== '') return found;
    }
  } else if (ast.op === '==') {
    const [left, right] = ast.args;
    for (const [place, other] of [
      [left, right],
      [right, left],
    ] as const) {
      const keys = placeOf(place);
      if (keys === undefined || asksForEvent(other)) continue;
      const value = comparable(language.part(match.slice(other.start, other.end)).evaluate({ trigger }));
      const path = eventPathText(keys);
      if (value !== undefined && path.length <= limits.matchPathLengthMax) return { path, value };
    }
  }
  return { path: '', value: '' };
}

function placeOf(node: ASTNode): readonly string[] | undefined {
  const chain = chainOf(node);
  if (chain === undefined || chain.keys.length === 0) return undefined;
  if (chain.root === 'data') return ['data', ...chain.keys];
  return chain.root === 'event' && chain.keys[0] !== 'timestamp' ? chain.keys : undefined;
}

function asksForEvent(node: ASTNode): boolean {
  return (node.op === 'id' && node.args !== 'trigger') || childrenOf(node).some(asksForEvent);
}

function comparable(value: unknown): JsonText | undefined {
  const plain = typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  return plain === null || ['string', 'number', 'boolean'].includes(typeof plain) ? canonicalJson(plain) : undefined;
}
