import { isPattern, matchesPattern } from '@ironflow/core';
import type { FunctionDefinition } from '@ironflow/core/wire';

export interface RegisteredFunction {
  readonly version: number;
  readonly definition: FunctionDefinition;
}

/** Which functions an event of this name starts: those with a trigger that fits it, and one whose id it is. */
export class TriggerIndex {
  readonly #byId = new Map<string, RegisteredFunction>();
  readonly #byName = new Map<string, RegisteredFunction[]>();
  readonly #patterns: { readonly pattern: string; readonly fn: RegisteredFunction }[] = [];

  constructor(functions: Iterable<RegisteredFunction>) {
    for (const fn of functions) {
      this.#byId.set(fn.definition.id, fn);
      for (const { event } of fn.definition.triggers) {
        if (event === undefined || event === '') continue; // a schedule alone
        if (isPattern(event)) this.#patterns.push({ pattern: event, fn });
        else {
          const named = this.#byName.get(event);
          if (named === undefined) this.#byName.set(event, [fn]);
          else named.push(fn);
        }
      }
    }
  }

  get(functionId: string): RegisteredFunction | undefined {
    return this.#byId.get(functionId);
  }

  all(): RegisteredFunction[] {
    return [...this.#byId.values()];
  }

  /** Each function once, however many of its triggers fit. */
  matching(eventName: string): RegisteredFunction[] {
    const found = new Set(this.#byName.get(eventName));
    for (const { pattern, fn } of this.#patterns) if (matchesPattern(pattern, eventName)) found.add(fn);
    const named = this.#byId.get(eventName);
    if (named !== undefined) found.add(named);
    return [...found];
  }
}
