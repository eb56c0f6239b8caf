import {
  assertAttributePaths,
  assertSubject,
  eventNameOf,
  isStandardSchema,
  limits,
  parseDuration,
  retryPolicyFrom,
  type StandardSchema,
  ValidationError,
} from '@ironflow/core';
import type { EventDataOf, EventOf, FunctionConfig, FunctionHandler, IronflowFunction, Trigger } from './types.ts';

/**
 * Defines a durable function: its handler runs over its history, and every step in it is recorded before the next one starts.
 * @throws {ValidationError} when the config is wrong.
 * @example
 * const greet = createFunction({ id: 'greet', triggers: [{ event: 'user.signup' }] }, async ({ event, step }) => {
 *   await step.run('send-mail', () => sendMail(event.data.email));
 *   await step.sleep('a-day', '1d');
 *   return step.run('send-tips', () => sendTips(event.data.email));
 * });
 */
export function createFunction<
  const TSchema extends StandardSchema | undefined = undefined,
  TOutput = unknown,
  const TTriggers extends readonly Trigger[] = readonly Trigger[],
>(
  config: FunctionConfig<TSchema, TTriggers>,
  handler: FunctionHandler<EventDataOf<TSchema, TTriggers>, TOutput, EventOf<TSchema, TTriggers>>,
): IronflowFunction<EventDataOf<TSchema, TTriggers>, TOutput> {
  assertConfig(config);
  if (typeof handler !== 'function')
    throw new ValidationError(`Function "${config.id}" has no handler. Pass it as the second argument.`);
  return {
    id: config.id,
    config: config as FunctionConfig<StandardSchema | undefined>,
    // A job hands it the events that its type says (src/job).
    handler: handler as unknown as FunctionHandler<EventDataOf<TSchema, TTriggers>, TOutput>,
  };
}

/** The same functions under one name, as the reference has them. */
export const ironflow = { createFunction } as const;

function assertConfig(config: FunctionConfig<StandardSchema | undefined>): void {
  if (config === null || typeof config !== 'object')
    throw new ValidationError('createFunction needs a config object as its first argument.');
  const { id, name, triggers, timeout, stepTimeout, schema, retry, concurrency, mode, secrets, attributes } = config;
  if (typeof id !== 'string' || id === '')
    throw new ValidationError('A function needs an id: a string that is not empty.');
  assertSubject(id, 'The function id', { pattern: false });
  const refuse = (problem: string) => new ValidationError(`${problem} (function "${id}")`);
  if (name !== undefined && (typeof name !== 'string' || name.length > limits.nameLengthMax))
    throw refuse(`name must be text of at most ${limits.nameLengthMax} characters.`);
  assertTriggers(id, triggers);
  if (timeout !== undefined) parseDuration(timeout, `timeout of function "${id}"`);
  if (stepTimeout !== undefined) parseDuration(stepTimeout, `stepTimeout of function "${id}"`);
  retryPolicyFrom(retry, `retry of function "${id}"`);
  if (concurrency !== undefined && !(Number.isInteger(concurrency?.limit) && concurrency.limit >= 1))
    throw refuse(`concurrency.limit is ${concurrency?.limit}; it must be a whole number of at least 1.`);
  if (mode !== undefined && mode !== 'push' && mode !== 'pull')
    throw refuse(`mode is "${String(mode)}". Use "push" or "pull".`);
  if (
    secrets !== undefined &&
    !(Array.isArray(secrets) && secrets.every((one) => typeof one === 'string' && one !== ''))
  )
    throw refuse('secrets must be an array of names, such as ["STRIPE_SECRET_KEY"].');
  if (attributes !== undefined) assertAttributePaths(attributes, id);
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw new ValidationError(
      `schema of function "${id}" is not a Standard Schema. Use one of zod (3.24 or newer), valibot or arktype.`,
    );
  }
}

function assertTriggers(id: string, triggers: unknown): void {
  if (!Array.isArray(triggers)) {
    throw new ValidationError(
      `Function "${id}" needs triggers: an array, such as [{ event: "order.placed" }], or [] when it is only invoked.`,
    );
  }
  if (triggers.length > limits.triggersPerFunctionMax) {
    throw new ValidationError(
      `Function "${id}" has ${triggers.length} triggers; at most ${limits.triggersPerFunctionMax} are taken. Use patterns, such as "order.*".`,
    );
  }
  for (const [i, trigger] of triggers.entries()) {
    const { cron, ...named } = (trigger ?? {}) as Trigger;
    const event = named.event === undefined ? undefined : eventNameOf(named.event);
    if (event === undefined && cron === undefined) {
      throw new ValidationError(
        `Trigger ${i} of function "${id}" has neither an event nor a cron schedule. Give it one.`,
      );
    }
    if (cron !== undefined && (typeof cron !== 'string' || cron.trim() === ''))
      throw new ValidationError(`The cron schedule of trigger ${i} of function "${id}" must be text like "0 9 * * *".`);
    if (event !== undefined && typeof event !== 'string')
      throw new ValidationError(`The event of trigger ${i} of function "${id}" must be text like "order.placed".`);
    if (event !== undefined) assertSubject(event, `The event of trigger ${i} of function "${id}",`, { pattern: true });
  }
}
