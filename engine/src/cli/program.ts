import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';

/** The process a command runs in. */
export interface Program {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether what is written to `err` is read at a terminal. */
  readonly isTerminal: boolean;
  /** The whole standard input. At a terminal, one line of it, which is not shown while it is typed; `prompt` asks for it. */
  input(prompt: string): Promise<string>;
  out(text: string): void;
  err(text: string): void;
  /** Resolves with the signal's name when the process is asked to stop. */
  stopped(): Promise<string>;
  after(ms: number): Promise<void>;
  /** Milliseconds since 1970. */
  now(): number;
}

export function systemProgram(): Program {
  return {
    env: process.env,
    isTerminal: process.stderr.isTTY === true,
    input: (prompt) => (process.stdin.isTTY ? hiddenLine(prompt) : text(process.stdin)),
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
    now: () => Date.now(),
  };
}

async function hiddenLine(prompt: string): Promise<string> {
  process.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await terminal.question('');
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
