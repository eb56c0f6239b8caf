// A step's id is a pure function of its run, its branch, its name, and how often that name came up before in that branch:
//   <run>:<name>:<n>                                   at the root
//   <run>:<parallel name>:<branch index>:<name>:<n>    inside a branch; each nested level appends another pair
// A backslash inside a part is doubled and a colon is preceded by a backslash, so different parts give different ids.

/** Escapes one part of an id. `compensate:` and `publish:` are prefixes that stay as they are. */
export function escapeStepPart(part: string): string {
  const prefix = /^(?:compensate|publish):/.exec(part)?.[0] ?? '';
  const rest = part.slice(prefix.length);
  return prefix + (/[\\:]/.test(rest) ? rest.replace(/[\\:]/g, '\\$&') : rest);
}

/**
 * The names and counters of one branch of one run.
 *   I1. The same calls in the same order give the same ids, in every process.
 *   I2. Branches count for themselves: what one branch does changes no id of another.
 */
export class StepScope {
  readonly #prefix: string;
  readonly #counts = new Map<string, number>();
  readonly #branches = new Map<string, StepScope>();

  private constructor(prefix: string) {
    this.#prefix = prefix;
  }

  static root(runId: string): StepScope {
    return new StepScope(runId);
  }

  /** The id of the next step called `name` here. */
  next(name: string): string {
    const n = this.#counts.get(name) ?? 0;
    this.#counts.set(name, n + 1);
    return `${this.#prefix}:${escapeStepPart(name)}:${n}`;
  }

  /** How often `name` has come up here. */
  countOf(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /**
   * The scope of one branch. A parallel's name has no counter of its own, so a second parallel of the same name goes on
   * counting where the first one stopped.
   */
  branch(parallelName: string, index: number): StepScope {
    const prefix = `${this.#prefix}:${escapeStepPart(parallelName)}:${index}`;
    let scope = this.#branches.get(prefix);
    if (scope === undefined) {
      scope = new StepScope(prefix);
      this.#branches.set(prefix, scope);
    }
    return scope;
  }
}

/** The step's name, read from an id of the form above; the whole id where it has another form. */
export function stepNameFromId(stepId: string): string {
  const parts = splitStepId(stepId);
  const counter = parts.at(-1);
  if (parts.length < 3 || counter === undefined || !/^\d+$/.test(counter)) return stepId;
  const name = parts.at(-2) ?? stepId;
  const before = parts.at(-3);
  return before === 'publish' || before === 'compensate' ? `${before}:${name}` : name;
}

function splitStepId(stepId: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let i = 0; i < stepId.length; i++) {
    const char = stepId.charAt(i);
    if (char === '\\' && i + 1 < stepId.length) part += stepId.charAt(++i);
    else if (char === ':') {
      parts.push(part);
      part = '';
    } else part += char;
  }
  parts.push(part);
  return parts;
}
