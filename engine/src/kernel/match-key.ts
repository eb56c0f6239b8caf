import { hash } from 'node:crypto';

/**
 * What an index finds a wait for an event by: one short text for the environment, the event's name, the place that is compared and
 * the value it must have, however long these are. (An index entry of PostgreSQL holds under 2,700 bytes.)
 */
export function matchKeyOf(env: string, eventName: string, path: string, value: string): string {
  return hash('sha256', JSON.stringify([env, eventName, path, value]), 'base64url');
}
