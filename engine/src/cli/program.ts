/** The process a command runs in. */
export interface Program {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether what is written to `err` is read at a terminal. */
  readonly isTerminal: boolean;
  out(text: string): void;
  err(text: string): void;
  /** Resolves with the signal's name when the process is asked to stop. */
  stopped(): Promise<string>;
  after(ms: number): Promise<void>;
}

export function systemProgram(): Program {
  return {
    env: process.env,
    isTerminal: process.stderr.isTTY === true,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    stopped: () =>
      new Promise((resolve) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
          process.once(signal, () => {
            process.once(signal, () => process.exit(1)); // asked twice: at once
            resolve(signal);
          });
        }
      }),
    after: (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref()),
  };
}
