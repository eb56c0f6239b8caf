import { isPattern, matchesPattern } from '@ironflow/core';
import type { FunctionDefinition, JobEvent } from '@ironflow/core/wire';
import { compileExpression, type TriggerExpression } from './trigger-expression.ts';

export interface RegisteredFunction {
  readonly version: number;
  readonly definition: FunctionDefinition;
}

/** Versions of functions that are in memory. */
export interface KnownFunctions {
  /** Undefined when it was not read yet. */
  known(env: string, functionId: string, version: number): FunctionDefinition | undefined;
}

/** One trigger of a function. */
interface Entry {
  readonly fn: RegisteredFunction;
  readonly expression: TriggerExpression | undefined;
}

/** Which functions an event starts: those with a trigger that fits it, and one whose id is its name. */
export class TriggerIndex {
  readonly #byId = new Map<string, RegisteredFunction>();
  readonly #byName = new Map<string, Entry[]>();
  readonly #patterns: { readonly pattern: string; readonly entry: Entry }[] = [];

  constructor(functions: Iterable<RegisteredFunction>) {
    for (const fn of functions) {
      this.#byId.set(fn.definition.id, fn);
      for (const { event, expression } of fn.definition.triggers) {
        if (event === undefined || event === '') continue; // a schedule alone
        const entry = { fn, expression: expression ? compileExpression(expression, 'A trigger') : undefined };
        if (isPattern(event)) this.#patterns.push({ pattern: event, entry });
        else {
          const named = this.#byName.get(event);
          if (named === undefined) this.#byName.set(event, [entry]);
          else named.push(entry);
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
  matching(event: JobEvent): RegisteredFunction[] {
    const found = new Set<RegisteredFunction>();
    const fits = ({ fn, expression }: Entry) => {
      if (!found.has(fn) && (expression === undefined || expression(event))) found.add(fn);
    };
    for (const entry of this.#byName.get(event.name) ?? []) fits(entry);
    for (const { pattern, entry } of this.#patterns) if (matchesPattern(pattern, event.name)) fits(entry);
    const named = this.#byId.get(event.name);
    if (named !== undefined) found.add(named);
    return [...found];
  }
}

/** Fields of a definition that are stored and have no effect in this version, by their names in a registration. */
export function fieldsWithoutEffect(definition: FunctionDefinition): string[] {
  const crons = definition.triggers.flatMap(({ cron }, i) => (cron ? [`triggers.${i}.cron`] : []));
  const fields = ['concurrency', 'actorKey'] as const;
  const retention = definition.recording !== true && definition.recordingRetention !== undefined;
  return [
    ...crons,
    ...fields.filter((name) => definition[name] !== undefined),
    ...(retention ? ['recordingRetention'] : []), // of what is not recorded
  ];
}

/** @throws {ValidationError} when a trigger's expression cannot be used. */
export function assertExpressions({ id, triggers }: FunctionDefinition): void {
  for (const [i, { expression }] of triggers.entries())
    if (expression) compileExpression(expression, `The expression of trigger ${i} of function "${id}"`);
}
