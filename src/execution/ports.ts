/** Time and turns, as an execution needs them. */
export interface Turns {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once all that is ready now, microtasks included, has run. */
  soon(callback: () => void): void;
  /** Calls back once after `delayMs`, unless the returned function is called before. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemTurns: Turns = {
  now: () => Date.now(),
  soon: (callback) => void setImmediate(callback),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
