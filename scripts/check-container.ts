// Makes the container example without a container: carries out its Dockerfile in folders, with the packed packages, starts what CMD
// says beside an engine, and sends it SIGTERM in the middle of a step, as `docker stop` would. Also looks at what only an image or
// Docker itself would show: that the program hears the signal, is not root, and is given longer to stop than its step may take.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { withPacked } from './pack.ts';
import { root } from './packages.ts';
import { bin, run } from './run.ts';
import { withServer } from './server.ts';

const example = join(root, 'examples/container');
const apiKey = 'a-key-of-the-check';
const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
/** What .dockerignore and .gitignore keep out, and what is made anew here. */
const ignored = new Set(['node_modules', 'packages', 'package-lock.json']);

await withPacked(async (packed, folder) => {
  const context = join(folder, 'context');
  cpSync(example, context, { recursive: true, filter: (path) => !ignored.has(basename(path)) });
  mkdirSync(join(context, 'packages'));
  for (const { tarball } of packed) cpSync(tarball, join(context, 'packages', basename(tarball)));
  run('npm', ['install', '--package-lock-only', ...quiet], context);
  const image = carryOut(readFileSync(join(context, 'Dockerfile'), 'utf8'), context, join(folder, 'stages'));

  must(image.user !== undefined && image.user !== 'root', 'The program runs as root.');
  must(/^node:\d+(-|$)/.test(image.from), `The image ${image.from} does not name a major version of Node.`);
  must(!existsSync(join(image.folder, 'packages')), 'The image holds the tarballs.');
  must(
    graceOf(readFileSync(join(context, 'compose.yaml'), 'utf8')) >
      stepTimeoutOf(readFileSync(join(context, 'worker.ts'), 'utf8')),
    'stop_grace_period of compose.yaml is not longer than stepTimeout of worker.ts.',
  );

  const serve = [bin('ironflow'), 'serve', '--port', '0', '--data', join(folder, 'data')] as const;
  const keys = { IRONFLOW_API_KEY: apiKey, IRONFLOW_STORE: '' };
  await withServer(serve, { cwd: folder, env: keys }, (engine) => stopInTheMiddle(image, engine));
});

/** A step of two seconds is under way when SIGTERM comes: it is finished and recorded, and the program ends with 0. */
async function stopInTheMiddle({ cmd: [command, ...args], env, folder }: Image, engine: string): Promise<void> {
  must(command === 'node', `CMD starts ${command}, and not node.`);
  const settings = { ...env, IRONFLOW_SERVER_URL: engine, IRONFLOW_API_KEY: apiKey };
  const worker = spawn(process.execPath, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  const exit = once(worker, 'exit');
  let output = '';
  let look = () => {};
  for (const stream of [worker.stdout, worker.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      look();
    });
  const printed = (text: string) =>
    Promise.race([
      new Promise<void>((resolve) => {
        look = () => output.includes(text) && resolve();
        look();
      }),
      exit.then(() => Promise.reject(new Error(`The worker ended before it printed "${text}":\n${output}`))),
    ]);
  const call = async (path: string, init?: RequestInit) => {
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
    const answer = await fetch(`${engine}/api/v1/${path}`, { ...init, headers });
    return (await answer.json()) as Record<string, unknown>;
  };
  try {
    await printed('is connected to');
    const event = { name: 'video.uploaded', data: { name: 'cat', seconds: 2 } };
    await call('events', { method: 'POST', body: JSON.stringify(event) });
    await printed('cat begins');
    worker.kill('SIGTERM');
    const [code, signal] = await exit;
    must(code === 0, `After SIGTERM the worker ended with ${signal ?? `exit code ${code}`}:\n${output}`);
    must(output.includes('worker: drained'), `The worker did not say that it was drained:\n${output}`);
    const { runs } = (await call('runs')) as { runs: { status: string; output: unknown }[] };
    const ended = JSON.stringify(runs.map(({ status, output }) => ({ status, output })));
    must(ended === '[{"status":"completed","output":{"file":"cat.webm"}}]', `Of the run came: ${ended}`);
  } finally {
    worker.kill('SIGKILL');
  }
}

interface Image {
  readonly from: string;
  /** What is in its WORKDIR. */
  readonly folder: string;
  readonly user: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cmd: readonly string[];
}

/** Carries out the instructions that the example uses, each stage in a folder; refuses any other. Returns the last stage. */
function carryOut(dockerfile: string, context: string, stages: string): Image {
  const named = new Map<string, string>();
  let image: Image | undefined;
  for (const line of dockerfile.split('\n').map((text) => text.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const [instruction = '', ...rest] = line.split(/\s+/);
    if (instruction === 'FROM') {
      const [from = '', as, name = 'last'] = rest;
      must(as === undefined || as === 'AS', `Not understood: ${line}`);
      const folder = join(stages, name, 'app');
      mkdirSync(folder, { recursive: true });
      named.set(name, folder);
      image = { from, folder, user: undefined, env: {}, cmd: [] };
      continue;
    }
    must(image !== undefined, `Before FROM: ${line}`);
    const { folder } = image;
    if (instruction === 'WORKDIR') must(rest.join(' ') === '/app', `Not understood: ${line}`);
    else if (instruction === 'ENV') image = { ...image, env: { ...image.env, ...variable(rest.join(' ')) } };
    else if (instruction === 'USER') image = { ...image, user: rest[0] };
    else if (instruction === 'CMD') image = { ...image, cmd: JSON.parse(rest.join(' ')) as string[] };
    else if (instruction === 'COPY') copy(rest, folder, context, named);
    else if (instruction === 'RUN' && rest[0] === 'npm') run('npm', [...rest.slice(1), ...quiet], folder);
    else throw new Error(`Not understood: ${line}`);
  }
  must(image !== undefined, 'There is no FROM.');
  return image;
}

function copy(words: readonly string[], folder: string, context: string, named: ReadonlyMap<string, string>): void {
  const stage = /^--from=(.*)$/.exec(words[0] ?? '')?.[1];
  const paths = words.filter((word) => !word.startsWith('--'));
  const to = paths.pop() ?? '';
  for (const path of paths) {
    const from = stage === undefined ? join(context, path) : path.replace(/^\/app/, named.get(stage) ?? `/no/${stage}`);
    cpSync(from, join(folder, to, to.endsWith('/') ? basename(path) : ''), { recursive: true, verbatimSymlinks: true });
  }
}

function variable(text: string): Record<string, string> {
  const [name = '', value = ''] = text.split('=');
  return { [name]: value };
}

/** Seconds; not a number, which is longer than nothing, where it is not said. */
function graceOf(compose: string): number {
  return Number(/stop_grace_period: (\d+)s/.exec(compose)?.[1]);
}

function stepTimeoutOf(worker: string): number {
  return Number(/stepTimeout: '(\d+)s'/.exec(worker)?.[1]);
}

function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
