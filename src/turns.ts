/** Time and turns, as the SDK needs them: nothing else in it asks the platform. */
export interface Turns {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once all that is ready now, microtasks included, has run. */
  soon(callback: () => void): void;
  /** Calls back once after `delayMs`, unless the returned function is called before. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemTurns: Turns & { elapsed(): number } = {
  now: () => Date.now(),
  /** Milliseconds by the platform's monotonic clock: no time server sets it back. */
  elapsed: () => performance.now(),
  soon: (callback) => void setImmediate(callback),
  after(delayMs, callback) {
    let timer: ReturnType<typeof setTimeout>;
    const wait = (leftMs: number) => {
      const ms = Math.min(leftMs, TIMER_MS_MAX);
      timer = setTimeout(() => (leftMs > ms ? wait(leftMs - ms) : callback()), ms);
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
};

/** The platform's timers overflow after 2^31 - 1 ms (25 days) and then go off at once. */
const TIMER_MS_MAX = 2_147_483_647;

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
