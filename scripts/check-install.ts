// Installs the packed packages together in an empty folder and uses them as a stranger would: imports every entry, compiles
// against every entry's types, prints the version, starts the engine, asks for its health and stops it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withPacked } from './pack.ts';
import { packages } from './packages.ts';
import { bin, run } from './run.ts';

/** Longest that the engine may take to start, answer and stop, in milliseconds. */
const ENGINE_MS = 20_000;

await withPacked(async (packed, folder) => {
  const app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "private": true, "type": "module" }');
  const peers = packages.flatMap(({ peerDependencies }) =>
    Object.entries(peerDependencies).map((peer) => peer.join('@')),
  );
  const wanted = [...packed.map(({ tarball }) => tarball), ...peers];
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...wanted], app);

  const names = packages.flatMap(({ entries }) => entries.map(({ specifier }) => specifier));
  const imports = names
    .map((name, index) => `import * as entry${index} from '${name}';\nvoid entry${index};\n`)
    .join('');
  writeFileSync(join(app, 'app.js'), imports);
  run(process.execPath, ['app.js'], app);
  writeFileSync(join(app, 'app.ts'), imports);
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,dom'];
  run(bin('tsc'), [...options, 'app.ts'], app);

  const version = run('npx', ['ironflow', 'version'], app).trim();
  if (version !== packages[0]?.version) throw new Error(`ironflow version printed ${version}.`);
  await startAndStop(app);
});

/** Not through npx, which does not pass SIGTERM on. */
async function startAndStop(app: string): Promise<void> {
  const program = join(app, 'node_modules', '.bin', 'ironflow');
  const engine = spawn(program, ['serve', '--port', '0'], {
    cwd: app,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ENGINE_MS,
  });
  const exit = once(engine, 'exit');
  let output = '';
  const address = new Promise<string>((resolve) => {
    for (const stream of [engine.stdout, engine.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        const found = /http:\/\/\S+:\d+/.exec(output)?.[0];
        if (found !== undefined) resolve(found);
      });
  });
  try {
    const url = await Promise.race([address, exit.then(() => undefined)]);
    if (url === undefined) throw new Error(`ironflow serve ended before it listened:\n${output}`);
    const health = await fetch(`${url}/health`);
    if (!health.ok) throw new Error(`GET /health answered ${health.status}.`);
    engine.kill('SIGTERM');
    const [code, signal] = await exit;
    if (code !== 0)
      throw new Error(`After SIGTERM, ironflow serve ended with ${signal ?? `exit code ${code}`}:\n${output}`);
  } finally {
    engine.kill('SIGKILL');
  }
}
