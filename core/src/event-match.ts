import { ValidationError } from './errors.ts';
import { canonicalJson, type JsonText } from './json.ts';
import { parseEventPath, valueAt } from './json-path.ts';

/**
 * How a wait tells its event from others of the same name: the incoming event's value at `path` must equal `value`.
 * Both kinds of `match` come down to this, so a wait is found by an index and not by trying.
 */
export interface EventMatch {
  /** Keys joined by dots, rooted at the event; the form that is stored and compared. */
  readonly path: string;
  readonly keys: readonly string[];
  /** Canonical JSON text. */
  readonly value: JsonText;
}

const EQUALS_LITERAL =
  /^\s*([^=!<>]+?)\s*===?\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?|true|false|null)\s*$/;

/** Whether a `match` is more than a path or a comparison with a literal: an expression. */
export function isMatchExpression(match: string): boolean {
  const comparison = EQUALS_LITERAL.exec(match);
  if (comparison !== null) return /[()&|?+*/%,{]/.test(comparison[1] ?? '');
  return /[=<>!&|()?+*/%,{]|\sin\s/.test(match);
}

/**
 * Reads the `match` of a wait against the event that started the run.
 * A path (`data.requestId`) asks for equality with the run's own event; `data.runId == "r1"` asks for the literal.
 * @throws {ValidationError} when it is neither, or when the run's event has no value at the path.
 */
export function resolveEventMatch(match: string, runEvent: unknown): EventMatch {
  const comparison = EQUALS_LITERAL.exec(match);
  if (comparison?.[1] !== undefined && comparison[2] !== undefined) {
    const keys = parseEventPath(comparison[1]);
    return { path: eventPathText(keys), keys, value: literal(comparison[2]) };
  }
  if (/[=<>!&|()]/.test(match)) {
    throw new ValidationError(
      `match ${JSON.stringify(match)} is neither a path such as data.requestId nor a comparison such as data.requestId == "r1".`,
    );
  }
  const keys = parseEventPath(match);
  const value = valueAt(runEvent, keys);
  if (value === undefined) {
    throw new ValidationError(
      `match ${JSON.stringify(match)} compares with the event that started the run, which has no value there. ` +
        'Put the value into the starting event, or compare with a literal: data.requestId == "r1".',
    );
  }
  return { path: eventPathText(keys), keys, value: canonicalJson(value) };
}

/** The value to look up at a stored `path` of an incoming event, or undefined when it has none there. */
export function matchValueAt(event: unknown, path: string): JsonText | undefined {
  const value = valueAt(event, keysFromPathText(path));
  return value === undefined ? undefined : canonicalJson(value);
}

/** Keys of a path as one text, the form that is stored and compared. */
export function eventPathText(keys: readonly string[]): string {
  return keys.map((key) => key.replace(/[\\.]/g, '\\$&')).join('.');
}

function keysFromPathText(path: string): string[] {
  const keys = path.match(/(?:^|\.)(?:\\.|[^\\.])*/gs) ?? [];
  return keys.map((key, i) => (i === 0 ? key : key.slice(1)).replace(/\\(.)/gs, '$1'));
}

function literal(text: string): JsonText {
  if (text.startsWith("'")) return canonicalJson(text.slice(1, -1).replace(/\\(.)/gs, '$1'));
  try {
    return canonicalJson(JSON.parse(text));
  } catch (cause) {
    throw new ValidationError(
      `match compares with ${text}, which is no literal. Write text as JSON does, or in single quotes.`,
      { cause },
    );
  }
}
