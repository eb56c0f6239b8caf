import { assertSubject, limits, parseDuration, retryPolicyFrom, ValidationError } from '@ironflow/core';
import type { StandardSchema } from './standard-schema.ts';
import type { EventDataOf, FunctionConfig, FunctionHandler, IronflowFunction } from './types.ts';

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
export function createFunction<const TSchema extends StandardSchema | undefined = undefined, TOutput = unknown>(
  config: FunctionConfig<TSchema>,
  handler: FunctionHandler<EventDataOf<TSchema>, TOutput>,
): IronflowFunction<EventDataOf<TSchema>, TOutput> {
  assertConfig(config);
  if (typeof handler !== 'function')
    throw new ValidationError(`Function "${config.id}" has no handler. Pass it as the second argument.`);
  return { id: config.id, config: config as FunctionConfig<StandardSchema | undefined>, handler };
}

/** The same functions under one name, as the reference has them. */
export const ironflow = { createFunction } as const;

function assertConfig(config: FunctionConfig<StandardSchema | undefined>): void {
  if (config === null || typeof config !== 'object')
    throw new ValidationError('createFunction needs a config object as its first argument.');
  const { id, triggers, timeout, stepTimeout, schema, retry } = config;
  if (typeof id !== 'string' || id === '')
    throw new ValidationError('A function needs an id: a string that is not empty.');
  if (id.length > limits.nameLengthMax)
    throw new ValidationError(
      `The function id "${id.slice(0, 40)}…" is longer than ${limits.nameLengthMax} characters.`,
    );
  if (!Array.isArray(triggers)) {
    throw new ValidationError(
      `Function "${id}" needs triggers: an array, such as [{ event: "order.placed" }], or [] when it is only invoked.`,
    );
  }
  for (const [i, trigger] of triggers.entries()) {
    if (trigger.event === undefined && trigger.cron === undefined) {
      throw new ValidationError(
        `Trigger ${i} of function "${id}" has neither an event nor a cron schedule. Give it one.`,
      );
    }
    if (trigger.event !== undefined)
      assertSubject(trigger.event, `The event of trigger ${i} of function "${id}"`, { pattern: true });
  }
  if (timeout !== undefined) parseDuration(timeout, `timeout of function "${id}"`);
  if (stepTimeout !== undefined) parseDuration(stepTimeout, `stepTimeout of function "${id}"`);
  retryPolicyFrom(retry, `retry of function "${id}"`);
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function') {
    throw new ValidationError(
      `schema of function "${id}" is not a Standard Schema. Use one of zod (3.24 or newer), valibot or arktype.`,
    );
  }
}
