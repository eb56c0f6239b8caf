import { ValidationError } from './errors.ts';
import { limits } from './limits.ts';

/** What an event has at its top level; a path that starts with none of these is taken to be inside `data`. */
const EVENT_FIELDS = new Set(['data', 'id', 'name', 'version', 'timestamp', 'metadata', 'source']);

const SEGMENT = /(?:^|\.)([^.[\]"'\s]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\['((?:[^'\\]|\\.)*)'\]/y;

/**
 * Splits a path such as `event.data.items[0].id` into its keys, rooted at the event. The spellings `event.data.x`,
 * `$.data.x`, `data.x` and `x` all mean the same place.
 * @throws {ValidationError} when it is not a path.
 */
export function parseEventPath(path: string): readonly string[] {
  if (path.length > limits.matchPathLengthMax)
    throw new ValidationError(
      `The path "${path.slice(0, 40)}…" is longer than ${limits.matchPathLengthMax} characters.`,
    );
  let rest = path.trim();
  if (rest.startsWith('$.')) rest = rest.slice(2);
  if (rest.startsWith('event.')) rest = rest.slice('event.'.length);
  const keys: string[] = [];
  SEGMENT.lastIndex = 0;
  while (SEGMENT.lastIndex < rest.length) {
    const at = SEGMENT.lastIndex;
    const found = SEGMENT.exec(rest);
    if (found === null) {
      throw new ValidationError(
        `"${path}" is not a path: it cannot be read from "${rest.slice(at)}" on. Write it like data.order.items[0].id.`,
      );
    }
    keys.push(found[1] ?? found[2] ?? (found[3] ?? found[4] ?? '').replace(/\\(.)/g, '$1'));
  }
  if (keys.length === 0) throw new ValidationError('A path must not be empty. Write it like data.orderId.');
  const first = keys[0];
  return first !== undefined && EVENT_FIELDS.has(first) ? keys : ['data', ...keys];
}

/** The value at `keys`, or undefined where the path leaves the data. Own properties only. */
export function valueAt(root: unknown, keys: readonly string[]): unknown {
  let value = root;
  for (const key of keys) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key]; // an object with this own property
  }
  return value;
}
