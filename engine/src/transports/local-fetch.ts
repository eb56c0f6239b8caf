import { IronflowError } from '@ironflow/core';
import type { Exchange } from './exchange.ts';
import type { Router } from './router.ts';

/** Answers a call from within the process as the port would, with no network between. */
export async function answerFetch(router: Router, path: string, init: RequestInit = {}): Promise<Response> {
  const url = new URL(path, 'http://localhost');
  const headers = new Headers(init.headers);
  const signal = init.signal ?? new AbortController().signal;
  const exchange: Exchange = {
    method: init.method ?? 'GET',
    path: url.pathname.replace(/\/{2,}/g, '/'),
    query: url.searchParams,
    header: (name) => headers.get(name) ?? undefined,
    async body(bytesMax) {
      const text = typeof init.body === 'string' ? init.body : '';
      if (Buffer.byteLength(text) <= bytesMax) return text;
      throw new IronflowError(`The request body is larger than the ${bytesMax} bytes allowed.`, {
        code: 'PAYLOAD_TOO_LARGE',
      });
    },
    signal,
  };
  const { status, body } = await aborting(router.answer(exchange), signal);
  return new Response(status === 204 ? null : body, { status, headers: { 'content-type': 'application/json' } });
}

function aborting<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
    work.then(resolve, reject);
  });
}
