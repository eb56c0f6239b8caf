/** Time and turns. Everything in the engine that waits does it here, so that a test moves time by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `callback` once, no earlier than in `delayMs`. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Calls `callback` once what is ready now has run: after the current task and its microtasks. */
  soon(callback: () => void): void;
}

export interface Timer {
  cancel(): void;
}

/** Longer delays than this overflow the timer of the platform: 2^31 - 1 ms. */
const DELAY_MS_MAX = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), DELAY_MS_MAX));
    return { cancel: () => clearTimeout(handle) };
  },
  soon(callback) {
    setImmediate(callback);
  },
};
