// Starts a program that listens, as a child process, and stops it again.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Longest that a program may take from its start to its end, in milliseconds. */
const PROGRAM_MS = 60_000;

export interface ServerOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What it ends with after SIGTERM. Default: 0. */
  readonly exitCode?: number;
}

/**
 * Runs `use` with the address that the program prints, and then ends the program with SIGTERM. Throws when it ends before it
 * listens, or otherwise than it should; then, and when `use` throws, what it printed is printed. Not for npx, which does not pass
 * SIGTERM on.
 */
export async function withServer(
  [command, ...args]: readonly [string, ...string[]],
  { cwd, env, exitCode = 0 }: ServerOptions,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const program = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROGRAM_MS,
  });
  const exit = once(program, 'exit');
  let output = '';
  const address = new Promise<string>((resolve) => {
    for (const stream of [program.stdout, program.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        const found = /http:\/\/\S+:\d+/.exec(output)?.[0];
        if (found !== undefined) resolve(found);
      });
  });
  try {
    const url = await Promise.race([address, exit.then(() => undefined)]);
    if (url === undefined) throw new Error(`${command} ended before it listened.`);
    await use(url);
    program.kill('SIGTERM');
    const [code, signal] = await exit;
    if (code !== exitCode)
      throw new Error(
        `After SIGTERM, ${command} ended with ${signal ?? `exit code ${code}`}, and not with ${exitCode}.`,
      );
  } catch (error) {
    console.error(output);
    throw error;
  } finally {
    program.kill('SIGKILL');
  }
}
