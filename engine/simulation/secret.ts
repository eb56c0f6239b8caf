// The secret that programs leak: what they are given, in the ways in which they hand it out, and how it is known where it must not be.

/** The name of the secret. */
export const secretName = 'KEY';

/** Its values, one after the other, with what JSON and URLs write in another way. */
export const secretValues = ['sk/"qz7kx9wv+plm3nb5v"', 'sk/"hj2fd8ra&gte6yu4c"'] as const;

/** Parts of the values that look the same in all the ways below, and that nothing else looks like. */
const parts: readonly string[] = ['qz7kx9wv', 'plm3nb5v', 'hj2fd8ra', 'gte6yu4c'];

/** Whether text has a secret in it. */
export const hasSecret = (text: string): boolean => parts.some((part) => text.includes(part));

/** A key for engines to seal with. */
export const simulatedKey = Buffer.alloc(32, 'simulated').toString('base64');

/** What stands in place of a value. */
const REDACTED = '***';

export type Leak = 'plain' | 'json' | 'url';
export const leaks: readonly Leak[] = ['plain', 'json', 'url'];

/** What a step hands out beside its value. Without a value: what is stored of that. */
export function leaked(leak: Leak, secret: string = REDACTED): string {
  switch (leak) {
    case 'plain':
      return ` with ${secret}`;
    case 'json':
      return ` with ${JSON.stringify([secret])}`;
    case 'url':
      return ` with ?key=${secret === REDACTED ? REDACTED : encodeURIComponent(secret)}`;
  }
}
