import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { profileFlags } from './profile.ts';

/** A process of the benchmark, ended with it. */
export class Child {
  static #count = 0;
  readonly #process: ChildProcess;

  /** @param script - From this folder. */
  constructor(script: string, args: readonly string[]) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const name = `${process.pid}-${++Child.#count}-${basename(script, '.ts')}`;
    const flags = ['--conditions=ironflow-source', ...profileFlags(name)];
    this.#process = spawn(process.execPath, [...flags, path, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, IRONFLOW_LOG_LEVEL: 'error', NODE_ENV: 'production' },
    });
    process.once('exit', () => this.#process.kill('SIGKILL'));
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
  }
}

/** User and system time of a process, from /proc; 0 where there is none. */
function cpuSecondsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0;
  }
}

export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endAt = performance.now() + 20_000;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > endAt) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
