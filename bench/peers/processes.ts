// Processes, folders and ports of the bench's adapters, ended and removed with the process that made them.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export { freePort } from '../children.ts';

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Time that a process gets to end by itself, in milliseconds. */
const END_MS = 10_000;

export interface ProgramOptions extends Pick<SpawnOptions, 'cwd' | 'uid' | 'gid'> {
  /** Set beside what this process has. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: NodeJS.Signals;
}

/** A program that runs beside the bench. */
export class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly #signal: NodeJS.Signals;
  #tail = '';

  constructor(command: string, args: readonly string[], { env, signal = 'SIGTERM', ...rest }: ProgramOptions = {}) {
    this.#signal = signal;
    this.child = spawn(command, args, { ...rest, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk) => (this.#tail = (this.#tail + chunk).slice(-8_000)));
    this.child.once('error', (error) => (this.#tail += String(error)));
    this.ended = new Promise((resolve) => this.child.once('close', () => resolve()));
    process.once('exit', this.#kill);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The last that it wrote. */
  get tail(): string {
    return this.#tail;
  }

  readonly #kill = (): void => {
    this.child.kill('SIGKILL');
  };

  /** Resolves once `pattern` is in what it writes. */
  async says(pattern: RegExp): Promise<void> {
    let gone = false;
    void this.ended.then(() => (gone = true));
    while (!pattern.test(this.#tail)) {
      if (gone) throw new Error(`ended before it said ${pattern}: ${this.#tail}`);
      await sleep(20);
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill(this.#signal);
      const timer = setTimeout(this.#kill, END_MS);
      await this.ended;
      clearTimeout(timer);
    }
    process.removeListener('exit', this.#kill);
  }
}

/** A folder on the disk that is measured: below BENCH_TMP, else the system's temporary folder. */
export function scratch(name: string): string {
  const directory = mkdtempSync(join(process.env['BENCH_TMP'] ?? tmpdir(), `bench-${name}-`));
  chmodSync(directory, 0o755); // PostgreSQL's account reads through it
  process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

/** Resolves once something listens on the port. */
export async function waitPort(port: number, withinMs = 60_000): Promise<void> {
  const endAt = performance.now() + withinMs;
  while (performance.now() < endAt) {
    const answers = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (answers) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** The version of an installed package, whatever its exports hide. */
export function version(name: string): string {
  for (let directory = join(import.meta.dirname, 'others'); ; directory = dirname(directory)) {
    const file = join(directory, 'node_modules', name, 'package.json');
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).version;
    if (directory === dirname(directory)) return 'unknown';
  }
}
