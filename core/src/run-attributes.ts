// Attributes: what a run is about, by names that its function declares. They are found when it starts, in the event that starts it, and
// stay as they were. An attribute is text, so that it is looked up by one index, whatever the event had there.

import { ValidationError } from './errors.ts';
import { canonicalJson } from './json.ts';
import { parseEventPath, valueAt } from './json-path.ts';
import { limits } from './limits.ts';

/** Starts with a letter, so that it can be written as it is in an address, on a command line, and as a key of any object. */
const NAME = /^[A-Za-z][A-Za-z0-9_.-]*$/;

/**
 * Refuses a declaration that cannot be kept: names to paths in the event.
 * @throws {ValidationError} that names the attribute at fault.
 */
export function assertAttributePaths(
  declared: unknown,
  functionId: string,
): asserts declared is Readonly<Record<string, string>> {
  const ofFunction = `of function "${functionId}"`;
  if (declared === null || typeof declared !== 'object' || Array.isArray(declared))
    throw refused(`attributes ${ofFunction} must be names with paths, such as { orderId: "data.order.id" }.`);
  const entries = Object.entries(declared);
  if (entries.length > limits.attributesPerFunctionMax) {
    throw refused(
      `Function "${functionId}" declares ${entries.length} attributes; at most ${limits.attributesPerFunctionMax} are kept. Take those that runs are looked for by.`,
    );
  }
  for (const [name, path] of entries) {
    assertAttributeName(name, ofFunction);
    const what = `The path of attribute "${name}" ${ofFunction}`;
    if (typeof path !== 'string') throw refused(`${what} must be text such as "data.order.id".`, name);
    try {
      parseEventPath(path);
    } catch (cause) {
      throw refused(`${what} is wrong: ${cause instanceof Error ? cause.message : cause}`, name, cause);
    }
  }
}

function assertAttributeName(name: string, where: string): void {
  if (name.length > limits.attributeNameLengthMax)
    throw refused(
      `The attribute name "${name.slice(0, 40)}…" ${where} is longer than ${limits.attributeNameLengthMax} characters. Shorten it.`,
    );
  if (!NAME.test(name))
    throw refused(
      `The attribute name ${JSON.stringify(name)} ${where} cannot be used. Take a letter first, then letters, digits, "_", "-" or ".".`,
    );
}

function refused(message: string, name?: string, cause?: unknown): ValidationError {
  const path = name === undefined ? 'attributes' : `attributes.${name}`;
  return new ValidationError(message, { validationErrors: [{ path, message }], ...(cause !== undefined && { cause }) });
}

/**
 * The attributes of a run, as text by name. One whose path finds nothing, or what cannot be an attribute, is not there.
 * @param event - The event that starts the run, with its data parsed.
 * @param redact - What becomes of each text before it is measured and kept.
 */
export function attributesAt(
  event: unknown,
  declared: Readonly<Record<string, string>>,
  redact: (text: string) => string = (text) => text,
): [name: string, text: string][] {
  return Object.entries(declared).flatMap(([name, path]): [string, string][] => {
    const text = textOf(valueAt(event, parseEventPath(path)));
    const kept = text === undefined ? undefined : attributeText(redact(text));
    return kept === undefined ? [] : [[name, kept]];
  });
}

/**
 * A value as the text that it is kept and looked up as: text as it is, a number or boolean as JSON writes it. Undefined for anything
 * else; and for text that is empty, too long, or has a control character or half a character in it.
 */
export function attributeText(value: unknown): string | undefined {
  const text = textOf(value);
  if (text === undefined || text === '' || text.length > limits.attributeValueLengthMax) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: text with control characters is what is left out
  return /[\u0000-\u001f\u007f]/.test(text) || !text.isWellFormed() ? undefined : text;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return canonicalJson(value);
  return undefined;
}

/**
 * What runs are looked for by: names to values, as text.
 * @throws {ValidationError} for a name or a value that no attribute can have.
 */
export function attributeFilter(asked: Readonly<Record<string, unknown>>): Record<string, string> {
  const entries = Object.entries(asked);
  if (entries.length > limits.attributesPerFunctionMax)
    throw refused(
      `Runs are looked for by at most ${limits.attributesPerFunctionMax} attributes, not ${entries.length}.`,
    );
  return Object.fromEntries(
    entries.map(([name, value]) => {
      assertAttributeName(name, 'of the filter');
      const text = attributeText(value);
      if (text === undefined) {
        const rule = `1 to ${limits.attributeValueLengthMax} characters of text without control characters, a number or a boolean`;
        throw refused(`No run has attribute "${name}" with such a value: it must be ${rule}.`, name);
      }
      return [name, text];
    }),
  );
}
