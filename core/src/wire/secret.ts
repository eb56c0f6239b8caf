// Requests that set secrets.

import { z } from 'zod';
import { limits, utf8Length } from '../limits.ts';

const value = z
  .string()
  .refine((text) => [...text].length >= limits.secretLengthMin, {
    error: `must have at least ${limits.secretLengthMin} characters: a shorter one would be found, and replaced by ***, in what has nothing to do with it`,
  })
  .refine((text) => utf8Length(text) <= limits.secretBytesMax, {
    error: `must have at most ${limits.secretBytesMax} bytes`,
  })
  .refine((text) => text.isWellFormed(), { error: 'has half of a character in it' });

const name = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,254}$/, {
  error: 'must be up to 255 letters, digits and _ . : / -, such as STRIPE_SECRET_KEY',
});

export const setSecretRequest = z.object({ name, value });
export const secretValueRequest = z.object({ value });
