import type { Turns } from './ports.ts';

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function pause(turns: Turns, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = turns.after(ms, end);
    signal.addEventListener('abort', end);
  });
}
