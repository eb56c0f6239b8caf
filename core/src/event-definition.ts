import { ValidationError } from './errors.ts';
import type { AnyEventData } from './event.ts';
import { isStandardSchema, type SchemaInput, type SchemaOutput, type StandardSchema } from './standard-schema.ts';
import { assertSubject } from './subject-pattern.ts';
import { assertVersion, createUpcasterRegistry, type Upcast } from './upcasters.ts';

/** One version of an event's data. Made by `defineEvent`. */
export interface EventDefinition<
  TName extends string = string,
  TSchema extends StandardSchema | undefined = StandardSchema | undefined,
> {
  readonly name: TName;
  /** From 1. */
  readonly version: number;
  /** Checks the data and gives it its type. */
  readonly schema?: TSchema | undefined;
  /** Makes data of the version before into data of this one. */
  readonly upcast?: Upcast | undefined;
}

/** Type of the data that a function gets of an event definition. */
export type DataOf<D> =
  D extends EventDefinition<string, infer S> ? (S extends StandardSchema ? SchemaOutput<S> : AnyEventData) : never;

/** Type of the data that an event of a definition is emitted with. */
export type InputOf<D> =
  D extends EventDefinition<string, infer S> ? (S extends StandardSchema ? SchemaInput<S> : AnyEventData) : never;

/** Every version of the events that an application knows; give it to `createWorker` or `serve` as `eventDefinitions`. */
export interface EventDefinitionRegistry {
  /** @throws {ValidationError} when this version of the event is there already. */
  register(definition: EventDefinition): void;
  /** The definition of a version, or of the latest. */
  get(eventName: string, version?: number): EventDefinition | undefined;
  /** The highest version registered. */
  latestVersion(eventName: string): number | undefined;
  /**
   * The data as the latest registered version has it. Data of a later version, or of an event that is not registered, is
   * returned as it is.
   * @throws {UpcastError} when a version on the way has no upcaster, or an upcaster throws.
   */
  upcast(eventName: string, data: unknown, fromVersion: number): unknown;
  /** @throws {ValidationError} when a version between the lowest and the highest of an event is missing, or has no upcaster. */
  assertComplete(): void;
}

/**
 * Defines one version of an event. Wherever an event's name is taken (a trigger, `emit`, `waitForEvent`) the definition may stand
 * in its place, and brings the type of its data.
 * @throws {ValidationError} when the definition is wrong.
 * @example
 * const orderPlaced = defineEvent({ name: 'order.placed', version: 1, schema: z.object({ orderId: z.string() }) });
 * await client.emit(orderPlaced, { orderId: '17' });
 */
export function defineEvent<const TName extends string, const TSchema extends StandardSchema | undefined = undefined>(
  definition: EventDefinition<TName, TSchema>,
): EventDefinition<TName, TSchema> {
  assertDefinition(definition);
  return Object.freeze({ ...definition });
}

/** Makes an empty registry of event definitions. */
export function createEventDefinitionRegistry(): EventDefinitionRegistry {
  return new Definitions();
}

/** The name of an event that is given by its name or by its definition. */
export function eventNameOf(event: string | EventDefinition): string {
  return typeof event === 'object' && event !== null ? event.name : event;
}

class Definitions implements EventDefinitionRegistry {
  readonly #events = new Map<string, Map<number, EventDefinition>>();
  readonly #upcasters = createUpcasterRegistry();

  register(definition: EventDefinition): void {
    assertDefinition(definition);
    const { name, version, upcast } = definition;
    const versions = this.#events.get(name) ?? new Map<number, EventDefinition>();
    if (versions.has(version))
      throw new ValidationError(`Version ${version} of "${name}" is registered already. Give each version once.`);
    if (upcast !== undefined) this.#upcasters.register(name, version - 1, version, upcast);
    this.#events.set(name, versions.set(version, definition));
  }

  get(eventName: string, version = this.latestVersion(eventName)): EventDefinition | undefined {
    return version === undefined ? undefined : this.#events.get(eventName)?.get(version);
  }

  latestVersion(eventName: string): number | undefined {
    const versions = this.#events.get(eventName);
    return versions === undefined ? undefined : Math.max(...versions.keys());
  }

  upcast(eventName: string, data: unknown, fromVersion: number): unknown {
    const latest = this.latestVersion(eventName);
    if (latest === undefined || fromVersion >= latest) return data;
    return this.#upcasters.upcast(eventName, data, fromVersion, latest);
  }

  assertComplete(): void {
    for (const [name, versions] of this.#events) {
      const lowest = Math.min(...versions.keys());
      for (let version = lowest + 1; version <= Math.max(...versions.keys()); version++) {
        if (versions.get(version)?.upcast !== undefined) continue;
        const missing = versions.has(version) ? 'has no upcast' : 'is not registered';
        throw new ValidationError(
          `Version ${version} of event "${name}" ${missing}, so events of version ${version - 1} cannot be lifted over it. ` +
            `Register defineEvent({ name: ${JSON.stringify(name)}, version: ${version}, upcast: (data) => … }).`,
          { details: { event: name, version } },
        );
      }
    }
  }
}

function assertDefinition(definition: EventDefinition): void {
  if (definition === null || typeof definition !== 'object')
    throw new ValidationError('An event definition is an object: { name: "order.placed", version: 1 }.');
  const { name, version, schema, upcast } = definition;
  if (typeof name !== 'string') throw new ValidationError('An event definition needs a name such as "order.placed".');
  assertSubject(name, 'The name of an event definition,', { pattern: false });
  assertVersion(version, name);
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw new ValidationError(
      `schema of event "${name}" is not a Standard Schema. Use one of zod (3.24 or newer), valibot or arktype.`,
    );
  }
  if (upcast === undefined) return;
  if (typeof upcast !== 'function')
    throw new ValidationError(`upcast of event "${name}" is no function. Pass one that takes data and returns it.`);
  if (version === 1)
    throw new ValidationError(`Version 1 of event "${name}" has an upcast, but no version before it. Take it away.`);
}
