// What an expression may cost. CEL always ends, but not always soon: a loop within a loop within a loop over a long list does not,
// and `matches` is a regular expression of JavaScript, which may go back and forth for ever.
//
//   C1. Every part of an expression that is evaluated counts. One that comes to COST_MAX is given up.
//   C2. Text and lists that grow beyond LENGTH_MAX are given up.
//   C3. A pattern is text of the expression itself, without repetition within repetition, and at most two that are unbounded; it is
//       tried on MATCHED_LENGTH_MAX characters at most. So one match takes some milliseconds in the worst case.

/** Parts of one expression that are evaluated for one event: some ten milliseconds. */
const COST_MAX = 100_000;
const LENGTH_MAX = 8 * 1024 * 1024;
const MATCHED_LENGTH_MAX = 1_024;

/** A node of the library's syntax tree, as far as it is used here. */
interface Node {
  readonly op: string;
  readonly args: unknown;
  readonly pos?: number;
  readonly meta: { evaluate: Evaluate; alternate?: unknown };
}
type Evaluate = (evaluator: unknown, node: unknown, context: unknown) => unknown;

/** An expression was given up: it is not true of the event. */
class TooCostly extends Error {}

/** Counts what the parts of a checked expression cost. Call `begin` before each evaluation. */
export class EvaluationCost {
  #left = 0;

  constructor(root: unknown) {
    for (const node of nodesOf(root)) this.#count(node);
  }

  begin(): void {
    this.#left = COST_MAX;
  }

  #count(node: Node): void {
    const { meta } = node;
    const { evaluate } = meta;
    const isMatch = patternOf(node) !== undefined;
    const receiver = isMatch ? (node.args as readonly unknown[])[1] : undefined; // [name, receiver, arguments]
    meta.evaluate = (evaluator, self, context) => {
      if (this.#left-- <= 0) throw new TooCostly();
      const value = evaluate(evaluator, self, context);
      if (lengthOf(value) > LENGTH_MAX) throw new TooCostly();
      return value;
    };
    if (isNode(receiver)) {
      const { evaluate: text } = receiver.meta;
      receiver.meta.evaluate = (evaluator, self, context) => {
        const value = text(evaluator, self, context);
        if (lengthOf(value) > MATCHED_LENGTH_MAX) throw new TooCostly();
        return value;
      };
    }
  }
}

/** What is wrong with a pattern of the expression, and where; undefined when there is nothing. */
export function patternProblem(root: unknown): { readonly problem: string; readonly at: number } | undefined {
  for (const node of nodesOf(root)) {
    const pattern = patternOf(node);
    if (pattern === undefined) continue;
    const at = (isNode(pattern) ? pattern.pos : node.pos) ?? 0;
    if (!isNode(pattern) || pattern.op !== 'value' || typeof pattern.args !== 'string')
      return { problem: 'the pattern of matches() must be written out in the expression', at };
    const text = pattern.args;
    if (isSlow(text))
      return { problem: 'the pattern of matches() repeats what repeats, or repeats without end more than twice', at };
    try {
      new RegExp(text);
    } catch {
      return { problem: 'the pattern of matches() is no regular expression', at };
    }
  }
  return undefined;
}

/** The argument of a call of `matches`. */
function patternOf({ op, args }: Node): unknown {
  if (op === 'rcall' && Array.isArray(args) && args[0] === 'matches') return (args[2] as readonly unknown[])[0];
  return undefined;
}

/** Whether a pattern might take long: a group that is repeated, a reference back, or several unbounded repetitions. */
function isSlow(pattern: string): boolean {
  const plain = pattern.replace(/\\[^1-9k]/g, 'x').replace(/\[(?:\\.|[^\]\\])*\]/g, 'x');
  if (/\\[1-9k]/.test(plain) || /\)[*+?{]/.test(plain)) return true;
  const unbounded = plain.match(/[*+]|\{\d*,\}/g) ?? [];
  const large = (plain.match(/\{\d*,?(\d+)\}/g) ?? []).some((one) => Number(/(\d+)\}/.exec(one)?.[1]) > 100);
  return unbounded.length > 2 || large;
}

function* nodesOf(root: unknown, seen = new Set<object>()): Generator<Node> {
  if (root === null || typeof root !== 'object' || seen.has(root)) return;
  seen.add(root);
  if (isNode(root)) {
    yield root;
    yield* nodesOf(root.args, seen);
    yield* nodesOf(root.meta.alternate, seen);
  } else if (Array.isArray(root)) for (const item of root) yield* nodesOf(item, seen);
  else if (Object.getPrototypeOf(root) === Object.prototype)
    for (const item of Object.values(root)) yield* nodesOf(item, seen);
}

function isNode(value: unknown): value is Node {
  if (value === null || typeof value !== 'object' || !('op' in value) || !('meta' in value)) return false;
  return typeof (value.meta as Partial<Node['meta']> | undefined)?.evaluate === 'function';
}

const lengthOf = (value: unknown): number => (typeof value === 'string' || Array.isArray(value) ? value.length : 0);
