// For tests: waits for what has to come to be, in real time. Whoever sleeps instead waits too long, or not long enough.

import { setTimeout as pause } from 'node:timers/promises';

/** How long a test waits for anything before it fails, in milliseconds: less than a test may take, so that it says for what. */
const DEADLINE_MS = 20_000;

/** Asks until the answer is what it should be. */
export async function eventually<T>(ask: () => Promise<T> | T, holds: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await ask();
    if (holds(value)) return value;
    if (Date.now() > deadline) throw new Error(`it never came to be; at last it was ${JSON.stringify(value)}`);
    await pause(5);
  }
}

/** As a test's expectation of `work`, with a name when it takes too long. */
export async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  const given = new AbortController();
  const late = pause(DEADLINE_MS, undefined, { signal: given.signal }).then(
    () => Promise.reject(new Error(`${what} did not come within ${DEADLINE_MS} ms`)),
    () => new Promise<never>(() => {}),
  );
  return Promise.race([work, late]).finally(() => given.abort());
}
