import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';

/** A process that is killed, frozen and started again. */
export class Victim {
  readonly name: string;
  readonly #command: readonly string[];
  readonly #ready: (() => Promise<void>) | undefined;
  #child: ChildProcess | undefined;
  #stopping = false;

  /** @param ready - Resolves once it answers. */
  constructor(name: string, command: readonly string[], ready?: () => Promise<void>) {
    this.name = name;
    this.#command = command;
    this.#ready = ready;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--conditions=ironflow-source', ...this.#command], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, IRONFLOW_LOG_LEVEL: 'error' },
    });
    this.#child = child;
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + String(chunk)).slice(-4_000);
    });
    child.once('exit', (code, signal) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      // Nobody but chaos ends a process.
      if (!this.#stopping) throw new Error(`${this.name} ended by itself (${code ?? signal}):\n${said}`);
    });
    await this.#ready?.();
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#stopping = true;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
    this.#stopping = false;
  }

  /** For the end of this process: no time to wait. */
  killNow(): void {
    this.#stopping = true;
    this.#child?.kill('SIGKILL');
  }
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
