import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../test-support/index.ts';

const script = fileURLToPath(new URL('./run.ts', import.meta.url));
const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

interface Program {
  readonly child: ChildProcess;
  /** Resolves once the text is in what the program has printed. */
  printed(text: string | RegExp): Promise<string>;
  readonly exited: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const child = spawn(process.execPath, ['--conditions=ironflow-source', script, ...args], {
    env: { ...process.env, IRONFLOW_API_KEY: '', IRONFLOW_PORT: '', ...env },
  });
  cleanUps.push(() => child.kill('SIGKILL'));
  let out = '';
  let err = '';
  const waiting = new Set<() => void>();
  const heard = (add: (text: string) => void) => (chunk: Buffer) => {
    add(String(chunk));
    for (const look of waiting) look();
  };
  child.stdout.on(
    'data',
    heard((text) => (out += text)),
  );
  child.stderr.on(
    'data',
    heard((text) => (err += text)),
  );
  const exited = new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, out, err })),
  );
  return {
    child,
    exited,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const all = out + err;
          if (typeof text === 'string' ? all.includes(text) : text.test(all)) resolve(all);
        };
        waiting.add(look);
        look();
        void exited.then((end) => reject(new Error(`it ended with ${end.code}: ${end.out}${end.err}`)));
      }),
  };
}

function directory(): string {
  const made = temporaryDirectory();
  cleanUps.push(() => made.remove());
  return made.path;
}

const READY = 'Ctrl-C stops the engine';
const urlIn = (text: string) => /Address\s+(\S+)/.exec(text)?.[1] ?? '';

describe('ironflow serve', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`says where it listens and where its data is, answers, and ends with 0 on ${signal}`, async () => {
      const data = join(directory(), 'data');
      const program = run(['serve', '--port', '0', '--data', data]);
      const banner = await program.printed(READY);
      expect(banner).toContain(data);
      expect(banner).toContain('only this machine may call');
      expect(banner).toContain('/api/v1/events');
      expect(await (await fetch(`${urlIn(banner)}/health`)).json()).toMatchObject({ status: 'ok' });
      program.child.kill(signal);
      expect(await program.exited).toMatchObject({ code: 0, err: expect.stringContaining(signal) });
    });
  }

  test('ends with 3 when the port is taken, and says which', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => server.close());
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { code, err } = await run(['serve', '--port', `${port}`, '--data', directory()]).exited;
    expect([code, err]).toEqual([3, expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`)]);
  });

  test('ends with 4 when another engine uses the data directory, and leaves that one alone', async () => {
    const data = directory();
    const first = run(['serve', '--port', '0', '--data', data]);
    const banner = await first.printed(READY);
    const { code, err } = await run(['serve', '--port', '0', '--data', data]).exited;
    expect([code, err]).toEqual([4, expect.stringContaining('in use by another Ironflow engine')]);
    expect((await fetch(`${urlIn(banner)}/health`)).status).toBe(200);
    // A killed engine leaves no lock behind.
    first.child.kill('SIGKILL');
    await first.exited;
    const next = run(['serve', '--port', '0', '--data', data]);
    await next.printed(READY);
  });

  test('ends with 5 when a newer version wrote the database', async () => {
    const data = directory();
    const first = run(['serve', '--port', '0', '--data', data]);
    await first.printed(READY);
    first.child.kill('SIGTERM');
    await first.exited;
    const db = new DatabaseSync(join(data, 'ironflow.db'));
    db.exec('PRAGMA user_version = 1000');
    db.close();
    const { code, err } = await run(['serve', '--port', '0', '--data', data]).exited;
    expect([code, err]).toEqual([5, expect.stringContaining('schema version 1000')]);
  });

  test.each([
    [['serve', '--port', 'many'], '--port is "many"'],
    [['serve', '--retention', 'long'], '--retention is "long"'],
    [['serve', '--push-concurrency', '0'], '--push-concurrency is "0"'],
    [['serve', '--nonsense'], '--nonsense'],
    [['serve', '--host', '0.0.0.0', '--port', '0'], 'IRONFLOW_API_KEY'],
    [['serve', '--log-level', 'loud'], 'one of debug, info, warn, error'],
    [['nonsense'], 'there is no command "nonsense"'],
  ])('ends with 2 and says what is wrong: %j', async (args, message) => {
    const data = args[0] === 'serve' ? ['--data', directory()] : [];
    const { code, err } = await run([...args, ...data]).exited;
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  test('asks for a key when it has one, and listens beyond this machine', async () => {
    const program = run(['serve', '--port', '0', '--host', '0.0.0.0', '--data', directory()], {
      IRONFLOW_API_KEY: 'one, two',
    });
    const { port } = new URL(urlIn(await program.printed(READY)));
    const call = (authorization?: string) =>
      fetch(`http://127.0.0.1:${port}/api/v1/runs`, { headers: authorization === undefined ? {} : { authorization } });
    expect((await call()).status).toBe(401);
    expect((await call('Bearer three')).status).toBe(401);
    expect((await call('Bearer two')).status).toBe(200);
  });

  test('writes its log as JSON lines without payloads', async () => {
    const program = run(['serve', '--port', '0', '--data', directory(), '--log-json']);
    const url = urlIn(await program.printed(READY));
    const post = (path: string, body: unknown) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    await post('/ironflow.v1.IronflowService/RegisterFunction', {
      id: 'f',
      triggers: [{ event: 'e' }],
      retry: { maxAttempts: 1 },
    });
    await post('/api/v1/workers/w/register', { function_ids: ['f'], max_concurrent_jobs: 1 });
    await post('/api/v1/events', { name: 'e', data: { card: 'secret-4242' } });
    const { jobs } = (await (await fetch(`${url}/api/v1/workers/w/jobs?available=1`)).json()) as {
      jobs: { job_id: string }[];
    };
    await fetch(`${url}/api/v1/workers/w/jobs/${jobs[0]?.job_id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        status: 'failed',
        error: { message: 'card secret-4242 declined', code: 'DECLINED', retryable: false },
      }),
    });
    const log = await program.printed('run failed');
    const lines = log
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ message }) => message)).toEqual(['function registered', 'worker registered', 'run failed']);
    expect(lines[2]).toMatchObject({ level: 'warn', functionId: 'f', code: 'DECLINED' });
    expect(log).not.toContain('4242');
  });
});

describe('ironflow doctor', () => {
  const miscount = (data: string) => {
    const db = new DatabaseSync(join(data, 'ironflow.db'));
    db.exec("UPDATE runs SET open_waits = 7 WHERE status = 'waiting'");
    db.close();
  };
  const send = (method: string, url: string, body: unknown) =>
    fetch(url, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

  test('looks beside a running engine, and repairs once that is stopped', async () => {
    const data = directory();
    const engine = run(['serve', '--port', '0', '--data', data]);
    const url = urlIn(await engine.printed(READY));
    await send('POST', `${url}/ironflow.v1.IronflowService/RegisterFunction`, { id: 'f', triggers: [{ event: 'e' }] });
    await send('POST', `${url}/api/v1/workers/w/register`, { function_ids: ['f'], max_concurrent_jobs: 1 });
    await send('POST', `${url}/api/v1/events`, { name: 'e', data: {} });
    const { jobs } = (await (await fetch(`${url}/api/v1/workers/w/jobs?available=1`)).json()) as {
      jobs: { job_id: string }[];
    };
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const yielded = { status: 'yielded', yield: { type: 'sleep', step_id: 's', step_name: 's', until } };
    expect((await send('PUT', `${url}/api/v1/workers/w/jobs/${jobs[0]?.job_id}`, yielded)).status).toBe(200);

    expect(await run(['doctor', '--data', data]).exited).toMatchObject({ code: 0, out: 'Nothing was found.\n' });
    expect(await run(['doctor', '--repair', '--data', data]).exited).toMatchObject({ code: 4 });
    engine.child.kill('SIGTERM');
    await engine.exited;

    miscount(data);
    const found = await run(['doctor', '--data', data]).exited;
    expect(found).toMatchObject({ code: 1, out: expect.stringContaining('open-waits-count') });
    expect(found.out).toContain('1 finding. 1 can be repaired with --repair.');
    const json = await run(['doctor', '--data', data, '--json']).exited;
    expect(JSON.parse(json.out)).toMatchObject({ check: 'open-waits-count', repair: 'count again' });
    const repaired = await run(['doctor', '--data', data, '--repair']).exited;
    expect(repaired).toMatchObject({ code: 0, out: expect.stringContaining('1 finding; 0 left after the repair.') });
    expect(await run(['doctor', '--data', data]).exited).toMatchObject({ code: 0 });
  });

  test('says what is wrong with its options, or that there is no database', async () => {
    expect(await run(['doctor', '--store', 'mysql://x']).exited).toMatchObject({
      code: 2,
      err: expect.stringContaining('it must be a PostgreSQL URL'),
    });
    expect(await run(['doctor', '--data', join(directory(), 'none')]).exited).toMatchObject({
      code: 6,
      err: expect.stringContaining('none'),
    });
  });
});

describe('ironflow secret', () => {
  const secretKey = Buffer.alloc(32, 'k').toString('base64');
  const serving = async (env: NodeJS.ProcessEnv) => {
    const server = run(['serve', '--port', '0', '--data', join(directory(), 'data')], env);
    return urlIn(await server.printed(READY));
  };
  const secret = async (args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}) => {
    const program = run(['secret', ...args], env);
    program.child.stdin?.end(input);
    return program.exited;
  };

  test('sets, lists and removes, and shows no value', async () => {
    const url = await serving({ IRONFLOW_SECRET_KEY: secretKey });
    const at = { IRONFLOW_SERVER_URL: url };
    expect(await secret(['set', 'STRIPE_KEY'], 'sk_live_0123\n', at)).toMatchObject({
      code: 0,
      out: 'STRIPE_KEY is set: revision 1.\n',
    });
    expect(await secret(['set', 'STRIPE_KEY'], 'sk_live_4567', at)).toMatchObject({
      out: expect.stringMatching(/revision 2/),
    });
    const listed = await secret(['list', '--url', url, '--json']);
    expect(JSON.parse(listed.out)).toMatchObject([{ name: 'STRIPE_KEY', revision: 2 }]);
    expect((await secret(['list'], '', at)).out).toMatch(/^STRIPE_KEY {2}revision 2, set /);
    expect(await secret(['list', '--env', 'staging'], '', at)).toMatchObject({ out: 'There are no secrets.\n' });
    expect(await secret(['rm', 'STRIPE_KEY'], '', at)).toMatchObject({ code: 0, out: 'STRIPE_KEY is removed.\n' });
    expect(await secret(['rm', 'STRIPE_KEY'], '', at)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/has no secret "STRIPE_KEY"/),
    });
    expect(await secret(['set', 'SHORT'], '1234567', at)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/at least 8 characters/),
    });
  });

  test('says what an engine without a key, or with a wrong one, needs', async () => {
    const url = await serving({ IRONFLOW_SECRET_KEY: '' });
    expect(await secret(['set', 'A', '--url', url], 'long enough')).toMatchObject({
      code: 2,
      err: expect.stringContaining('IRONFLOW_SECRET_KEY'),
    });
    const wrong = run(['serve', '--port', '0', '--data', join(directory(), 'data')], {
      IRONFLOW_SECRET_KEY: `${secretKey}, too-short`,
    });
    expect(await wrong.exited).toMatchObject({ code: 2, err: expect.stringMatching(/Key 2 of IRONFLOW_SECRET_KEY/) });
  });

  test('ends with 2 for wrong use, and with 6 when no engine answers', async () => {
    for (const args of [
      [],
      ['get', 'X'],
      ['set'],
      ['set', 'A', 'value'],
      ['list', 'A'],
      ['set', 'A', '--nope'],
      ['list', '--url', 'here'],
    ])
      expect(await secret(args, 'long enough')).toMatchObject({ code: 2, out: '' });
    expect(await secret(['list', '--url', 'http://127.0.0.1:1'])).toMatchObject({
      code: 6,
      err: expect.stringMatching(/No engine answers/),
    });
    expect(await secret(['--help'])).toMatchObject({ code: 0, out: expect.stringMatching(/ironflow secret set/) });
  });
});
