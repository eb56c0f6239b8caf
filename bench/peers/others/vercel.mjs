// Vercel's Workflow SDK without Next.js: `workflow build --target standalone`, its flow and step routes served by a plain node:http
// server in this process. Options:
//   world        postgres (default): @workflow/world-postgres (graphile-worker inside)
//                local: @workflow/world-local, JSON files and a queue in memory; the vendor calls it a development world
//   concurrency  default 50
//   poll         milliseconds between two looks at a run's status (default 10), or `native`: as the SDK does, once a second

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { openPostgres } from '../postgres.ts';
import { freePort, scratch, sleep, version } from '../processes.ts';

const application = path.join(import.meta.dirname, 'vercel');
const modules = path.join(import.meta.dirname, 'node_modules');
const routes = path.join(application, '.well-known/workflow/v1');

export async function open(options) {
  const concurrency = Number(options.concurrency ?? 50);
  const port = await freePort();
  process.chdir(import.meta.dirname); // the SDK looks for its world's package from here
  build();
  process.env.PORT = String(port);
  process.env.WORKFLOW_LOCAL_BASE_URL = `http://127.0.0.1:${port}`;
  const world = await (options.world === 'local' ? openLocalWorld(concurrency) : openPostgresWorld(concurrency));
  const require = createRequire(path.join(application, 'package.json'));
  const { start, resumeHook } = await import(pathToFileURL(require.resolve('workflow/api')));
  const { getWorld } = await import(pathToFileURL(require.resolve('workflow/runtime')));
  const flow = require('./.well-known/workflow/v1/flow.js'); // CommonJS bundles
  const step = require('./.well-known/workflow/v1/step.js');
  const server = http.createServer((request, response) => {
    const route = request.url.startsWith('/.well-known/workflow/v1/flow') ? flow : step;
    answer(request, response, port, route.POST).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const running = getWorld();
  await running.start?.();
  const native = options.poll === 'native';
  const every = Number(native ? 1_000 : (options.poll ?? 10));
  return {
    info: {
      topology: `one process (client, queue, flow and step routes over loopback HTTP)${world.topology}`,
      durability: world.durability,
      versions: { workflow: version('workflow'), ...world.versions },
      settings: { concurrency, pollMs: every },
    },
    pids: () => ({ client: process.pid, ...world.pids }),
    async start(kind, argument, key) {
      const run = await start({ workflowId: `workflow//./workflows/bench//${kind}` }, [argument, key]);
      return {
        async result() {
          while (!native && ['running', 'pending'].includes(await run.status)) await sleep(every);
          return run.returnValue;
        },
      };
    },
    deliver: (key) => resumeHook(key, true),
    maintain: world.maintain,
    async close() {
      await Promise.race([running.close?.(), sleep(5_000)]);
      process.on('uncaughtException', () => {}); // its LISTEN connection has no error handler
      server.close();
      server.closeAllConnections();
      await world.close();
    },
  };
}

/** Builds the routes, once for a version of the workflows. */
function build() {
  if (existsSync(path.join(routes, 'flow.js'))) return;
  execFileSync(process.execPath, [path.join(modules, '@workflow/cli/bin/run.js'), 'build'], {
    cwd: application,
    stdio: 'pipe',
  });
}

async function openLocalWorld(concurrency) {
  const directory = scratch('vercel');
  process.env.WORKFLOW_TARGET_WORLD = 'local';
  process.env.WORKFLOW_LOCAL_DATA_DIR = path.join(directory, 'data');
  process.env.WORKFLOW_LOCAL_QUEUE_CONCURRENCY = String(concurrency);
  mkdirSync(process.env.WORKFLOW_LOCAL_DATA_DIR);
  return {
    topology: '',
    durability: 'JSON files without fsync, queue in memory',
    versions: { '@workflow/world-local': version('@workflow/world-local') },
    pids: {},
    close: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

async function openPostgresWorld(concurrency) {
  const server = await openPostgres();
  process.env.WORKFLOW_TARGET_WORLD = '@workflow/world-postgres';
  process.env.WORKFLOW_POSTGRES_URL = server.url;
  process.env.WORKFLOW_POSTGRES_WORKER_CONCURRENCY = String(concurrency);
  process.env.WORKFLOW_POSTGRES_MAX_POOL_SIZE = String(concurrency + 2);
  execFileSync(process.execPath, [path.join(modules, '@workflow/world-postgres/bin/setup.js')], { stdio: 'pipe' });
  return {
    topology: ' + PostgreSQL',
    durability: server.durability,
    versions: { '@workflow/world-postgres': version('@workflow/world-postgres'), postgres: server.version },
    pids: { postgres: server.pid },
    maintain: server.maintain,
    close: () => server.stop(),
  };
}

async function answer(request, response, port, handle) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const answered = await handle(
    new Request(`http://127.0.0.1:${port}${request.url}`, {
      method: request.method,
      headers: request.headers,
      body: request.method === 'POST' ? Buffer.concat(parts) : undefined,
    }),
  );
  response.statusCode = answered.status;
  for (const [name, value] of answered.headers) response.setHeader(name, value);
  response.end(Buffer.from(await answered.arrayBuffer()));
}
