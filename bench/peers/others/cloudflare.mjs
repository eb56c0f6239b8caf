// Cloudflare Workflows in workerd, through miniflare: the vendor's local simulator, not the hosted service. Options:
//   every  milliseconds between two looks of a waiting request at the instance's status (default 5)

import { readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Miniflare } from 'miniflare';
import { processTree } from '../observer.ts';
import { scratch, version } from '../processes.ts';

/** Requests sent again because the connection was closed meanwhile; more than this is a fault. */
const REPEATS_MAX = 10_000;

export async function open(options) {
  const directory = scratch('cloudflare');
  const every = Number(options.every ?? 5);
  const miniflare = new Miniflare({
    modules: true,
    script: readFileSync(path.join(import.meta.dirname, './workers/cloudflare-worker.mjs'), 'utf8'),
    compatibilityDate: '2026-01-01',
    host: '127.0.0.1',
    port: 0,
    cf: false,
    telemetry: { enabled: false },
    workflows: { BENCH: { name: 'bench', className: 'Bench', stepLimit: 20_000 } },
    workflowsPersist: directory,
  });
  const base = await miniflare.ready;
  const workerd = processTree(process.pid).find((pid) => nameOf(pid).startsWith('workerd'));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });
  let repeats = 0;
  const get = (at) =>
    new Promise((resolve, reject) => {
      const request = http.get(new URL(at, base), { agent }, (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`${at}: ${response.statusCode} ${text.slice(0, 300)}`));
        });
      });
      request.on('error', (error) => {
        // workerd closes a kept-alive connection that idles for some seconds, and some under load; the request is sent again.
        if (error.code === 'ECONNRESET' && ++repeats < REPEATS_MAX) resolve(get(at));
        else reject(new Error(`${at}: ${error.message}`));
      });
    });
  return {
    info: {
      topology: 'client process -> workerd (engine, workflows and storage in one process)',
      durability: 'a SQLite file for each instance, as workerd opens it locally',
      versions: { miniflare: version('miniflare'), workerd: version('workerd') },
      settings: { pollMs: every },
    },
    pids: () => ({ client: process.pid, ...(workerd && { workerd }) }),
    async start(kind, n, key) {
      await get(`/start?id=${key}&kind=${kind}&n=${n}`);
      return { result: () => get(`/wait?id=${key}&every=${every}`) };
    },
    deliver: (key) => get(`/answer?id=${key}`),
    async close() {
      agent.destroy();
      await miniflare.dispose();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function nameOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch {
    return ''; // gone
  }
}
