import { ValidationError } from './errors.ts';
import { limits } from './limits.ts';

// Names are tokens separated by dots. In a pattern `*` stands for exactly one token and `>`, as the last, for one or more.

export function isPattern(text: string): boolean {
  return text.split('.').some((token) => token === '*' || token === '>');
}

/**
 * Refuses what cannot be the name of an event or a function: empty, too long, control characters, half characters, or (where
 * `pattern` is false) a wildcard.
 * @throws {ValidationError}
 */
export function assertSubject(text: string, what: string, options: { readonly pattern: boolean }): void {
  const problem = problemOf(text, options.pattern);
  if (problem !== undefined) throw new ValidationError(`${what} ${JSON.stringify(text)} ${problem}`);
}

function problemOf(text: string, patternAllowed: boolean): string | undefined {
  if (text === '') return 'is empty. Give it a name such as "order.placed".';
  if (text.length > limits.nameLengthMax) return `is longer than ${limits.nameLengthMax} characters. Shorten it.`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing control characters is the point
  if (/[\u0000-\u001f\u007f]/.test(text)) return 'contains a control character. Use printable text.';
  // A store that keeps text as UTF-8 would give it back as another one.
  if (!text.isWellFormed()) return 'contains half of a surrogate pair. Cut text between characters.';
  const tokens = text.split('.');
  const wildcard = tokens.findIndex((token) => token === '*' || token === '>');
  if (wildcard >= 0 && !patternAllowed) return 'contains a wildcard. An event has one exact name.';
  const rest = tokens.indexOf('>');
  if (rest >= 0 && rest !== tokens.length - 1)
    return 'has ">" before its end. ">" stands for all that follows: put it last.';
  return undefined;
}

/** Whether `subject` fits `pattern`. */
export function matchesPattern(pattern: string, subject: string): boolean {
  if (pattern === subject) return true;
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '>') return i === wanted.length - 1 && tokens.length > i;
    if (i >= tokens.length) return false;
    if (wanted[i] !== '*' && wanted[i] !== tokens[i]) return false;
  }
  return tokens.length === wanted.length;
}
