import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';

/** Children of the demo. Whatever happens, none outlives it. */
export class Processes {
  readonly #running = new Set<ChildProcess>();

  constructor() {
    process.on('exit', () => this.killAll());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
  }

  start(script: string, args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, ['--conditions=ironflow-source', script, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, IRONFLOW_LOG_LEVEL: 'error' },
    });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return child;
  }

  /** Kills with SIGKILL: the process gets no chance to do anything. */
  async kill(child: ChildProcess): Promise<void> {
    await this.#end(child, 'SIGKILL');
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.#end(child, 'SIGTERM')));
  }

  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }

  async #end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
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
