import type { IronflowFunction } from './types.ts';

/** First 16 hex digits of SHA-256 over the handler's source text: tells versions of a function apart. */
export async function codeHashOf(fn: IronflowFunction): Promise<string> {
  const source = new TextEncoder().encode(fn.handler.toString());
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', source));
  return [...digest.slice(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
