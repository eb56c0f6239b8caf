// Makes the Next.js example as its reader would, from the packed packages in a folder of its own: installs, builds and starts it,
// registers it with an engine, and has one of its routes emit an event whose function the engine calls at the other.

import { cpSync } from 'node:fs';
import { basename, join } from 'node:path';
import { withPacked } from './pack.ts';
import { root } from './packages.ts';
import { bin, run } from './run.ts';
import { withServer } from './server.ts';

/** Nothing is sent anywhere, and keys of whoever runs this stay out of it. */
const env = { NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production', IRONFLOW_API_KEY: '', IRONFLOW_STORE: '' } as const;
const signingKey = 'signs-what-the-engine-sends';

await withPacked(async (packed, folder) => {
  const app = join(folder, 'app');
  // What was made in the example's own folder stays there.
  const made = ['node_modules', '.next', 'next-env.d.ts'];
  cpSync(join(root, 'examples/next'), app, { recursive: true, filter: (path) => !made.includes(basename(path)) });
  const npm = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  run('npm', ['ci', '--include=dev', ...npm], app);
  // The engine is a program beside the application, and no part of it.
  const tarballs = packed.filter(({ target }) => target.name !== '@ironflow/engine').map(({ tarball }) => tarball);
  run('npm', ['install', '--no-save', '--include=dev', ...npm, ...tarballs], app);
  const next = join(app, 'node_modules', '.bin', 'next');
  Object.assign(process.env, env);
  run(next, ['build'], app);

  const serve = [bin('ironflow'), 'serve', '--port', '0', '--data', join(folder, 'data')] as const;
  await withServer(serve, { cwd: folder, env: { IRONFLOW_SIGNING_KEY: signingKey } }, async (engine) => {
    const settings = { IRONFLOW_SERVER_URL: engine, IRONFLOW_SIGNING_KEY: signingKey };
    const start = [next, 'start', '--hostname', '127.0.0.1', '--port', '0'] as const;
    // Next says with its exit code that it was SIGTERM that ended it.
    await withServer(start, { cwd: app, env: settings, exitCode: 128 + 15 }, async (url) => {
      Object.assign(process.env, settings);
      run(process.execPath, ['register.mjs', url], app);
      const unsigned = await fetch(`${url}/api/ironflow`, { method: 'POST', body: '{}' });
      if (unsigned.status !== 401) throw new Error(`An unsigned request was answered with ${unsigned.status}.`);
      const answer = await fetch(`${url}/orders`, { method: 'POST', body: JSON.stringify({ prices: [20, 22] }) });
      const text = await answer.text();
      if (text !== '{"status":"completed","output":{"total":42}}')
        throw new Error(`POST /orders answered ${answer.status} ${text}`);
    });
  });
});
