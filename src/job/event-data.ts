// What an event's data becomes before a function sees it: lifted to the latest version, then checked by a schema.

import {
  checkedBy,
  type EventDefinition,
  type EventDefinitionRegistry,
  type IronflowEvent,
  SchemaValidationError,
} from '@ironflow/core';
import type { IronflowFunction } from '../function/index.ts';
import type { ReadEvent } from '../step/index.ts';

/** Reads events that a function waited for. */
export function eventReader(definitions: EventDefinitionRegistry | undefined): ReadEvent {
  return (event, definition) => {
    const lifted = liftedData(event, definitions);
    const data = definition?.schema === undefined ? lifted : checkedBy(definition.schema, lifted, whose(definition));
    if (data instanceof Promise) return data.then((checked) => ({ ...event, data: checked as IronflowEvent['data'] }));
    return data === event.data ? event : { ...event, data: data as IronflowEvent['data'] };
  };
}

/**
 * The data of the event that starts a function: what its `schema` makes of it, else the definition of the event among its
 * triggers.
 * @throws {SchemaValidationError} naming each path at fault; {UpcastError}.
 */
export async function startingData(
  fn: IronflowFunction,
  event: { readonly name: string; readonly version: number; readonly data: unknown },
  definitions: EventDefinitionRegistry | undefined,
): Promise<unknown> {
  const lifted = liftedData(event, definitions);
  const { schema } = fn.config;
  if (schema !== undefined) return checkedBy(schema, lifted, `function "${fn.id}"`);
  const definition = definitionFor(fn, event.name);
  return definition?.schema === undefined ? lifted : checkedBy(definition.schema, lifted, whose(definition));
}

/** The definition that says what a function takes an event for. One that is invoked may have a single one only. */
function definitionFor({ id, config }: IronflowFunction, name: string): EventDefinition | undefined {
  const defined = config.triggers.flatMap(({ event }) => (typeof event === 'object' ? [event] : []));
  const named = defined.find((definition) => definition.name === name);
  if (named !== undefined || defined.length < config.triggers.length || defined.length === 0) return named;
  if (defined.length === 1) return defined[0];
  throw new SchemaValidationError(
    `Function "${id}" takes ${defined.map((one) => `"${one.name}"`).join(', ')}, and was started with "${name}". ` +
      'Give it a "schema" that says what it can be invoked with.',
  );
}

function liftedData(
  { name, version, data }: { readonly name: string; readonly version: number; readonly data: unknown },
  definitions: EventDefinitionRegistry | undefined,
): unknown {
  return definitions === undefined ? data : definitions.upcast(name, data, version);
}

const whose = ({ name, version }: EventDefinition) => `event "${name}", version ${version}`;
