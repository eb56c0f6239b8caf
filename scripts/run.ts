// Runs programs for the other scripts.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './packages.ts';

/** The program of an installed package. */
export const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

/** Runs a program to its end and returns what it printed; throws that when the program fails. */
export function run(command: string, args: readonly string[], cwd = root): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${stdout}${stderr}\n${command} ${args.join(' ')}: exit code ${status}`.trim());
  return stdout;
}
