// Expressions in the Common Expression Language (cel.dev), of triggers and of waits.
//   E1. One that is compiled has been checked: its grammar, its types, and that it is true or false.
//   E2. What it costs is bounded (evaluation-cost.ts). One that comes to its bound is given up.

import { ValidationError } from '@ironflow/core';
import { type ASTNode, Environment, ParseError, type ParseResult } from '@marcbachmann/cel-js';
import { EvaluationCost, patternProblem } from './evaluation-cost.ts';

/** How large an expression may be. */
const LIMITS = { maxAstNodes: 500, maxDepth: 32 } as const;

export type Variables = Readonly<Record<string, 'map' | 'dyn'>>;

export interface Expression {
  readonly ast: ASTNode;
  /** The value for these variables. @throws when the expression cannot be evaluated on them. */
  readonly evaluate: (variables: Readonly<Record<string, unknown>>) => unknown;
}

export class ExpressionLanguage {
  readonly #environment: Environment;
  readonly #where: string;
  readonly #hint: string;

  /** @param where - What an error calls the field. @param hint - How it says to write one. */
  constructor(variables: Variables, where: string, hint: string) {
    let environment = new Environment({ limits: LIMITS });
    for (const [name, type] of Object.entries(variables)) environment = environment.registerVariable(name, type);
    this.#environment = environment;
    this.#where = where;
    this.#hint = hint;
  }

  /**
   * Compiles an expression that is true or false.
   * @throws {ValidationError} that shows the place of the mistake.
   */
  condition(text: string, what: string): Expression {
    const { expression, type } = this.#compile(text, what);
    if (type !== 'bool' && type !== 'dyn') throw this.#mistake(what, `it is a ${type}; a condition is true or false`);
    return expression;
  }

  /** Compiles a part of an expression that has been compiled. */
  part(text: string): Expression {
    return this.#compile(text, 'A part of an expression').expression;
  }

  #compile(text: string, what: string): { readonly expression: Expression; readonly type: string | undefined } {
    let parsed: ParseResult;
    try {
      parsed = this.#environment.parse(text);
    } catch (error) {
      throw this.#mistake(what, error instanceof ParseError ? error.message : String(error));
    }
    const checked = parsed.check();
    if (!checked.valid) throw this.#mistake(what, checked.error?.message ?? 'its types do not fit');
    const pattern = patternProblem(parsed.ast);
    if (pattern !== undefined) throw this.#mistake(what, `${pattern.problem}\n\n${pointedAt(text, pattern.at)}`);
    const cost = new EvaluationCost(parsed.ast);
    const evaluate = (variables: Readonly<Record<string, unknown>>): unknown => {
      cost.begin();
      return parsed(variables);
    };
    return { expression: { ast: parsed.ast, evaluate }, type: checked.type };
  }

  #mistake(what: string, problem: string): ValidationError {
    return new ValidationError(`${what} cannot be used: ${problem}\n${this.#hint}`, {
      validationErrors: [{ path: this.#where, message: problem }],
    });
  }
}

/** The line of the expression with the place marked, as the library shows it. */
function pointedAt(expression: string, at: number): string {
  const before = expression.slice(0, at).split('\n');
  const line = expression.split('\n')[before.length - 1] ?? '';
  const margin = `>${String(before.length).padStart(5)} | `;
  return `${margin}${line}\n${' '.repeat(margin.length + (before.at(-1)?.length ?? 0))}^`;
}

export function childrenOf(node: ASTNode): readonly ASTNode[] {
  const found: ASTNode[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (isNode(value)) found.push(value);
  };
  visit(node.args);
  return found;
}

function isNode(value: unknown): value is ASTNode {
  return value !== null && typeof value === 'object' && 'op' in value && 'args' in value;
}

/** The keys of a chain such as `event.data["a b"].c` below the variable it begins with; undefined where it is none, or one is computed. */
export function chainOf(node: ASTNode): { readonly root: string; readonly keys: readonly string[] } | undefined {
  if (node.op === 'id') return { root: node.args, keys: [] };
  if (node.op !== '.' && node.op !== '[]') return undefined;
  const [inner, key] = node.args;
  const chain = chainOf(inner);
  const name =
    typeof key === 'string' ? key : key.op === 'value' && typeof key.args === 'string' ? key.args : undefined;
  return chain === undefined || name === undefined ? undefined : { root: chain.root, keys: [...chain.keys, name] };
}
