/** One way to run Ironflow, opened for a benchmark. */
export interface Target {
  readonly name: string;
  /** What runs where. */
  readonly topology: string;
  /** Starts a run of `bench-steps` and resolves with what it returned. */
  run(input: { readonly n: number; readonly parallel?: boolean }): Promise<unknown>;
  /** Starts a run of `bench-flat` and resolves with what it returned. */
  flat(): Promise<{ readonly step10: number; readonly step1000: number }>;
  /** CPU seconds used so far, by role. */
  cpuSeconds(): Record<string, number>;
  /** Messages sent to the database so far, where it is on the other end of a connection. */
  roundTrips?(): number | undefined;
  close(): Promise<void>;
}

/** Fails unless a run of `n` steps returned what it must. */
export function checkResult(result: unknown, n: number): void {
  const right =
    Array.isArray(result) && result.length === n && result.every((one, i) => one?.i === i && one?.ok === true);
  if (!right) throw new Error(`wrong result for ${n} steps: ${JSON.stringify(result)?.slice(0, 200)}`);
}
