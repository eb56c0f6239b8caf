// Runs each example as its reader would, in processes of its own, and checks what it prints. The container and the Next.js
// application, which have packages of their own, are made and called by scripts/check-container.ts and check-next.ts: `npm run verify`.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@ironflow/node';
import { afterEach, expect, test } from 'vitest';
import { freePort } from './demo/processes.ts';

/** A child process; what it prints is waited for, never a time. */
class Program {
  readonly #child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = '';
  #waiting: (() => void)[] = [];

  constructor(script: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, ['--conditions=ironflow-source', path(script), ...args], {
      env: { ...process.env, IRONFLOW_API_KEY: '', IRONFLOW_SIGNING_KEY: '', IRONFLOW_LOG_LEVEL: 'info', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
        for (const look of this.#waiting) look();
      });
    }
    this.ended = new Promise((resolve) => this.#child.once('close', resolve));
    started.push(this);
  }

  /** Resolves once it has printed `text`. */
  printed(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => this.output.includes(text) && resolve();
      this.#waiting.push(look);
      look();
      void this.ended.then((code) =>
        reject(new Error(`ended with ${code} before it printed "${text}":\n${this.output}`)),
      );
    });
  }

  end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended;
  }
}

const path = (script: string) => fileURLToPath(new URL(script, import.meta.url));
const started: Program[] = [];
const directories: string[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((program) => program.end('SIGKILL')));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

/** `ironflow serve` on a free port; returns its address. */
async function startEngine(): Promise<string> {
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), 'ironflow-examples-'));
  directories.push(data);
  const engine = new Program('../engine/src/cli/run.ts', ['serve', '--port', `${port}`, '--data', data], {});
  await engine.printed('Ctrl-C stops the engine');
  return `http://localhost:${port}`;
}

test('quickstart: runs through a step, a sleep and an event that came early', async () => {
  const quickstart = new Program('./quickstart/quickstart.ts', [], {});
  expect(await quickstart.ended, quickstart.output).toBe(0);
  const lines = quickstart.output.trim().split('\n');
  expect(lines.filter((line) => line.startsWith('mail:'))).toEqual(['mail: welcome, ada@example.com']);
  expect(lines.filter((line) => line.startsWith('handler:')).length).toBeGreaterThan(1);
  expect(lines.slice(-4)).toEqual([
    'run: completed {"messageId":"welcome-u1","name":"Ada"}',
    'step: send-welcome (run) completed',
    'step: settle-in (sleep) completed',
    'step: profile (wait_for_event) completed',
  ]);
});

test('saga: what was booked is given back, the last first, and other trips keep theirs', async () => {
  const saga = new Program('./saga/saga.ts', [], {});
  expect(await saga.ended, saga.output).toBe(0);
  const lines = saga.output.trim().split('\n');
  expect(lines.slice(lines.indexOf('run of t2: failed, no car is left') - 4)).toEqual([
    'book: flight',
    'book: hotel',
    'cancel: hotel',
    'cancel: flight',
    'run of t2: failed, no car is left',
    '  step: flight completed',
    '  step: hotel completed',
    '  step: car failed',
    '  step: compensate:hotel completed',
    '  step: compensate:flight completed',
    'in the end there are: flight of t1, hotel of t1, car of t1',
  ]);
});

test('approval: one is approved, one rejected, and one that nobody answers goes to somebody else', async () => {
  const approval = new Program('./approval/approval.ts', [], {});
  expect(await approval.ended, approval.output).toBe(0);
  const lines = approval.output.trim().split('\n');
  expect(lines.filter((line) => line.startsWith('run:'))).toEqual([
    'run: completed {"paid":40,"because":"approved by alice"}',
    'run: completed {"paid":0,"because":"we have one"}',
    'run: completed {"paid":0,"because":"nobody answered"}',
  ]);
  expect(lines.filter((line) => line.startsWith('bank:'))).toEqual(['bank: 40 for taxi']);
  expect(lines.filter((line) => line.includes('lunch'))).toEqual([
    'mail: team lead, may we pay 15 for lunch?',
    'mail: head of finance, may we pay 15 for lunch?',
  ]);
});

test('push endpoint: is called by the engine, and no step runs twice', async () => {
  const serverUrl = await startEngine();
  const endpoint = new Program('./push-endpoint/endpoint.ts', [], { IRONFLOW_SERVER_URL: serverUrl, PORT: '0' });
  expect(await endpoint.ended, endpoint.output).toBe(0);
  expect(endpoint.output.trim().split('\n').slice(1)).toEqual([
    'registered: new',
    'step: add-up',
    'step: send',
    'run: completed {"total":42}',
  ]);
});

test('worker: takes a job from the engine, and leaves in peace', async () => {
  const serverUrl = await startEngine();
  const worker = new Program('./worker/worker.ts', [], { IRONFLOW_SERVER_URL: serverUrl });
  await worker.printed('is connected to');
  const client = createClient({ serverUrl });
  const { output } = await client.emitSync('image.uploaded', { name: 'cat.png' });
  expect(output).toEqual(['320-cat.png', '640-cat.png', '1280-cat.png']);
  await worker.printed('done: cat.png');
  expect(await worker.end('SIGTERM')).toBe(0);
  expect(worker.output).toContain('worker: drained');
});

test.each(['express', 'hono'])(
  '%s: an application serves a function, and its own route waits for the result',
  async (name) => {
    const serverUrl = await startEngine();
    const server = new Program(`./${name}/server.ts`, [], { IRONFLOW_SERVER_URL: serverUrl, PORT: '0' });
    await server.printed('listening: ');
    const url = /listening: (\S+)/.exec(server.output)?.[1] ?? '';
    const call = (path: string, body: unknown) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const answer = await call('/orders', { prices: [20, 22] });
    expect(await answer.json()).toEqual({ status: 'completed', output: { total: 42 } });
    expect(await (await call('/api/ironflow', { no: 'push request' })).json()).toMatchObject({
      error: { code: 'VALIDATION_ERROR' },
    });
    expect(await server.end('SIGTERM')).toBe(0);
  },
);
