import { isIronflowError, UpcastError, ValidationError } from './errors.ts';
import { assertSubject } from './subject-pattern.ts';

/** Makes data of one version of an event into that of a later one. Called again on every replay: keep it pure. */
export type Upcast = (data: unknown) => unknown;

/** Lifts the data of events from the version that they were emitted with to a later one, version by version. */
export interface UpcasterRegistry {
  /** @throws {ValidationError} when it does not lead to a later version, or the two versions have an upcaster already. */
  register(eventName: string, fromVersion: number, toVersion: number, upcast: Upcast): void;
  /** @throws {UpcastError} when a version on the way has no upcaster, or an upcaster throws. */
  upcast(eventName: string, data: unknown, fromVersion: number, toVersion: number): unknown;
}

/**
 * Makes an empty registry of upcasters. `createEventDefinitionRegistry` holds the versions of events as well.
 * @example
 * const upcasters = createUpcasterRegistry();
 * upcasters.register('order.placed', 1, 2, (data) => ({ ...(data as object), currency: 'USD' }));
 * upcasters.upcast('order.placed', { total: 5 }, 1, 2); // { total: 5, currency: 'USD' }
 */
export function createUpcasterRegistry(): UpcasterRegistry {
  return new Upcasters();
}

interface UpcastStep {
  readonly to: number;
  readonly upcast: Upcast;
}

class Upcasters implements UpcasterRegistry {
  /** Event name, then version, then what leads on from there. */
  readonly #steps = new Map<string, Map<number, UpcastStep[]>>();

  register(eventName: string, fromVersion: number, toVersion: number, upcast: Upcast): void {
    assertSubject(eventName, 'The event of an upcaster,', { pattern: false });
    assertVersion(fromVersion, eventName);
    assertVersion(toVersion, eventName);
    if (toVersion <= fromVersion) {
      throw new ValidationError(
        `The upcaster of "${eventName}" leads from version ${fromVersion} to ${toVersion}. It must lead to a later one.`,
      );
    }
    if (typeof upcast !== 'function')
      throw new ValidationError(
        `The upcaster of "${eventName}" is no function. Pass one that takes data and returns it.`,
      );
    const byVersion = this.#steps.get(eventName) ?? new Map<number, UpcastStep[]>();
    const steps = byVersion.get(fromVersion) ?? [];
    if (steps.some(({ to }) => to === toVersion)) {
      throw new ValidationError(
        `"${eventName}" has an upcaster from version ${fromVersion} to ${toVersion} already. Register each once.`,
      );
    }
    steps.push({ to: toVersion, upcast });
    byVersion.set(fromVersion, steps);
    this.#steps.set(eventName, byVersion);
  }

  upcast(eventName: string, data: unknown, fromVersion: number, toVersion: number): unknown {
    let lifted = data;
    let at = fromVersion;
    for (const { to, upcast } of this.#path(eventName, fromVersion, toVersion)) {
      try {
        lifted = upcast(lifted);
      } catch (error) {
        if (isIronflowError(error) && error.retryable) throw error;
        throw new UpcastError(
          `The upcaster of "${eventName}" from version ${at} to ${to} has thrown: ${String(error)}. It must take every event of version ${at}.`,
          { cause: error, details: { event: eventName, fromVersion: at, toVersion: to } },
        );
      }
      at = to;
    }
    return lifted;
  }

  /** The fewest upcasters that lead from one version to the other. @throws {UpcastError} */
  #path(eventName: string, from: number, to: number): readonly UpcastStep[] {
    const byVersion = this.#steps.get(eventName);
    const reached = new Map<number, readonly UpcastStep[]>([[from, []]]);
    for (const [version, path] of reached) {
      if (version === to) return path;
      for (const step of byVersion?.get(version) ?? [])
        if (step.to <= to && !reached.has(step.to)) reached.set(step.to, [...path, step]);
    }
    const furthest = Math.max(...reached.keys());
    throw new UpcastError(
      `Data of "${eventName}" cannot be lifted from version ${from} to ${to}: no upcaster leads on from version ${furthest}. Register one.`,
      { details: { event: eventName, fromVersion: from, toVersion: to, missingFrom: furthest } },
    );
  }
}

/** @throws {ValidationError} */
export function assertVersion(version: number, eventName: string): void {
  if (Number.isInteger(version) && version >= 1 && version <= VERSION_MAX) return;
  throw new ValidationError(
    `A version of "${eventName}" is ${String(version)}; it must be a whole number of at least 1.`,
  );
}

/** The contract's versions are 32-bit integers. */
const VERSION_MAX = 2_147_483_647;
