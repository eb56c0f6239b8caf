// Restate: restate-server (one node), a service endpoint in its own process, the client over HTTP. Options:
//   variant     workflow (default): a keyed workflow, `run` called and awaited in one request
//               service: a plain service handler (durable, no key)
//   partitions  default-num-partitions (Restate's default is 24)
//   fsync       off: the log's sync switched off, to see what durability costs

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { freePort, Program, scratch, sleep, version, waitPort } from '../processes.ts';

/** Started by a request that does not wait, and attached to later. */
const STARTED_FIRST = new Set(['nap', 'wait']);

function serverProgram() {
  if (process.env.RESTATE_SERVER) return process.env.RESTATE_SERVER;
  const require = createRequire(import.meta.url);
  const name = `@restatedev/restate-server-${process.platform}-${process.arch === 'arm64' ? 'arm64' : 'x64'}`;
  return path.join(path.dirname(require.resolve(`${name}/package.json`)), 'bin', 'restate-server');
}

export async function open(options) {
  const directory = scratch('restate');
  const [ingress, admin, node, endpoint] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const program = serverProgram();
  const synced = options.fsync !== 'off';
  const server = new Program(program, ['--base-dir', directory, '--node-name', 'n1'], {
    cwd: directory,
    env: {
      DO_NOT_TRACK: '1',
      RESTATE_DISABLE_TELEMETRY: 'true',
      RUST_LOG: 'warn',
      RESTATE_LOG_FORMAT: 'compact',
      RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
      RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
      ...(options.partitions && { RESTATE_DEFAULT_NUM_PARTITIONS: options.partitions }),
      ...(!synced && {
        RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC: 'true',
        RESTATE_BIFROST__LOCAL__ROCKSDB_DISABLE_WAL_FSYNC: 'true',
      }),
    },
  });
  const worker = new Program(process.execPath, [path.join(import.meta.dirname, './workers/restate-worker.mjs')], {
    env: { PORT: String(endpoint), NODE_ENV: 'production' },
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });
  const stop = async () => {
    agent.destroy();
    await worker.stop();
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    for (const port of [endpoint, admin, ingress]) await waitPort(port);
    for (let tries = 0; ; tries++) {
      try {
        await call(agent, admin, 'POST', '/deployments', { uri: `http://127.0.0.1:${endpoint}`, force: true });
        break;
      } catch (error) {
        if (tries > 60) throw error;
        await sleep(500);
      }
    }
  } catch (error) {
    console.error(server.tail);
    await stop();
    throw error;
  }

  const plain = options.variant === 'service';
  return {
    info: {
      topology: 'client process -> restate-server -> worker process (HTTP/2)',
      durability: `RocksDB log, ${synced ? 'fsync on (default)' : 'fsync OFF'}, replication 1`,
      versions: {
        'restate-server': execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().split(' ').pop(),
        '@restatedev/restate-sdk': version('@restatedev/restate-sdk'),
      },
      settings: { variant: plain ? 'service' : 'workflow', partitions: Number(options.partitions ?? 24) },
    },
    pids: () => ({ client: process.pid, server: server.pid, worker: worker.pid }),
    async start(kind, n, key) {
      if (STARTED_FIRST.has(kind)) {
        const sent = await call(agent, ingress, 'POST', `/${kind}/${key}/run/send`, { n });
        if (!sent?.invocationId) throw new Error(`not started: ${JSON.stringify(sent)}`);
        return { result: () => call(agent, ingress, 'GET', `/restate/workflow/${kind}/${key}/attach`) };
      }
      const answer = call(agent, ingress, 'POST', plain ? `/plain/${kind}` : `/${kind}/${key}/run`, { n });
      answer.catch(() => {}); // whoever asks for the result is told
      return { result: () => answer };
    },
    deliver: (key) => call(agent, ingress, 'POST', `/wait/${key}/answer`),
    close: stop,
  };
}

function call(agent, port, method, at, body) {
  return new Promise((resolve, reject) => {
    const data = body === undefined ? '' : JSON.stringify(body);
    const headers = data
      ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(data) }
      : { 'content-length': 0 };
    const request = http.request({ host: '127.0.0.1', port, method, path: at, agent, headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode >= 300)
          reject(new Error(`${method} ${at}: ${response.statusCode} ${text.slice(0, 300)}`));
        else resolve(text ? JSON.parse(text) : undefined);
      });
    });
    request.on('error', reject);
    request.end(data);
  });
}
