// Installs the packed packages together in an empty folder and uses them as a stranger would: imports every entry, compiles
// against every entry's types, prints the version, starts the engine, asks for its health and stops it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withPacked } from './pack.ts';
import { packages } from './packages.ts';
import { bin, run } from './run.ts';
import { withServer } from './server.ts';

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
  const program = join(app, 'node_modules', '.bin', 'ironflow');
  await withServer([program, 'serve', '--port', '0'], { cwd: app }, async (url) => {
    const health = await fetch(`${url}/health`);
    if (!health.ok) throw new Error(`GET /health answered ${health.status}.`);
  });
});
