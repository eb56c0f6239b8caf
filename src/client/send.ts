// Sends one HTTP request and takes its answer. Over node:http where there is one, because fetch takes four times the CPU for a small
// call; in browsers and at the edge with fetch. Nothing is imported for it, so that a bundler for those finds nothing.

import type { Agent, AgentOptions, ClientRequest, ClientRequestArgs, IncomingMessage } from 'node:http';
import { systemTurns } from '../turns.ts';

export interface Sent {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly timeoutMs: number;
}

export interface Answered {
  readonly status: number;
  readonly text: string;
}

/** Thrown by `send` when there was no whole answer within the time. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/** What is used of node:http and node:https, which are alike. */
interface NodeHttp {
  readonly Agent: new (options: AgentOptions) => Agent;
  readonly request: (options: ClientRequestArgs, answered: (response: IncomingMessage) => void) => ClientRequest;
}

interface Pool {
  readonly request: NodeHttp['request'];
  readonly agent: Agent;
}

/**
 * Connections kept open to one engine while nothing is sent on them. Beyond Node's 256 they would be closed and opened again as calls
 * come in bursts.
 */
const FREE_MAX = 1_024;

/** Connections that are kept open, by protocol, for all clients of the process. Idle ones do not keep it alive. */
const pools = new Map<string, Pool>();

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export async function send(sent: Sent): Promise<Answered> {
  const url = new URL(sent.url);
  const pool = poolFor(url.protocol);
  if (pool === undefined) return sendByFetch(sent);
  const answered = await sendByNode(pool, url, sent);
  // It led elsewhere, and did nothing yet: fetch knows how to go there.
  return REDIRECTS.has(answered.status) ? sendByFetch(sent) : answered;
}

function poolFor(protocol: string): Pool | undefined {
  const known = pools.get(protocol);
  if (known !== undefined) return known;
  if (protocol !== 'http:' && protocol !== 'https:') return undefined;
  const http = builtin(protocol === 'https:' ? 'node:https' : 'node:http');
  if (http === undefined) return undefined;
  const pool = { request: http.request, agent: new http.Agent({ keepAlive: true, maxFreeSockets: FREE_MAX }) };
  pools.set(protocol, pool);
  return pool;
}

function builtin(name: string): NodeHttp | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  return process?.getBuiltinModule?.(name) as NodeHttp | undefined; // the module of this name
}

function sendByNode({ request, agent }: Pool, url: URL, sent: Sent): Promise<Answered> {
  const { method, headers, body, timeoutMs } = sent;
  return new Promise((resolve, reject) => {
    const options = {
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      method,
      path: url.pathname + url.search,
      agent,
      headers,
    };
    const asked = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', fail);
      response.on('end', () => {
        cancel();
        if (response.complete) resolve({ status: response.statusCode ?? 0, text });
        else fail(new Error('the answer broke off'));
      });
    });
    const cancel = systemTurns.after(timeoutMs, () => {
      fail(new NoAnswerError());
      asked.destroy();
    });
    asked.on('error', fail);
    asked.end(body);

    function fail(error: Error): void {
      cancel();
      reject(error);
    }
  });
}

async function sendByFetch({ method, url, headers, body, timeoutMs }: Sent): Promise<Answered> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { method, headers, signal, ...(body !== undefined && { body }) });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw error instanceof Error && error.name === 'TimeoutError' ? new NoAnswerError('', { cause: error }) : error;
  }
}
