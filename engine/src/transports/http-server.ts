// HTTP/1.1: one port for everything.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IronflowError } from '@ironflow/core';
import type { Answer, Exchange } from './exchange.ts';
import type { Router } from './router.ts';

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
}

export class HttpServer {
  readonly #server: Server;
  readonly #router: Router;

  constructor(router: Router) {
    this.#router = router;
    this.#server = createServer({ keepAlive: true, noDelay: true, keepAliveTimeout: 75_000 }, (request, response) => {
      void this.#answer(request, response);
    });
  }

  /** @throws {IronflowError} PORT_IN_USE. */
  async listen({ host, port }: ListenOptions): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          error.code === 'EADDRINUSE'
            ? new IronflowError(
                `Port ${port} on ${host} is in use, perhaps by another engine. Stop that program, or choose a port with --port.`,
                {
                  code: 'PORT_IN_USE',
                  cause: error,
                },
              )
            : error,
        );
      });
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo; // a TCP server that listens
  }

  /** Takes no new requests and ends the connections that are idle; held requests are ended by their handlers. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const giveUp = setTimeout(() => this.#server.closeAllConnections(), 2_000);
    await closed;
    clearTimeout(giveUp);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    const answer = await this.#router.answer(new NodeExchange(request, gone.signal));
    if (gone.signal.aborted) {
      answer.undelivered?.();
      return;
    }
    send(response, answer, request);
  }
}

function send(response: ServerResponse, answer: Answer, request: IncomingMessage): void {
  const { status, body, undelivered } = answer;
  if (undelivered !== undefined) {
    response.on('close', () => {
      if (!response.writableFinished) undelivered();
    });
  }
  if (body === '') response.writeHead(status);
  else {
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      // A body that was refused unread must not be taken for the next request.
      ...(!request.complete && { connection: 'close' }),
    });
  }
  response.end(body);
}

class NodeExchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly signal: AbortSignal;
  readonly #request: IncomingMessage;
  readonly #search: string;
  #query: URLSearchParams | undefined;

  constructor(request: IncomingMessage, signal: AbortSignal) {
    this.#request = request;
    this.signal = signal;
    this.method = request.method ?? 'GET';
    const url = request.url ?? '/';
    const question = url.indexOf('?');
    this.path = (question < 0 ? url : url.slice(0, question)).replace(/\/{2,}/g, '/');
    this.#search = question < 0 ? '' : url.slice(question + 1);
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  body(bytesMax: number): Promise<string> {
    const request = this.#request;
    if (Number(request.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge(bytesMax));
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bytesMax) {
          request.pause();
          reject(tooLarge(bytesMax));
        } else chunks.push(chunk);
      });
      request.on('end', () =>
        resolve(chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString('utf8')),
      );
      request.on('error', reject);
    });
  }
}

function tooLarge(bytesMax: number): IronflowError {
  return new IronflowError(
    `The request body is larger than the ${bytesMax} bytes allowed. Send less at once, or keep large data elsewhere and send a reference.`,
    {
      code: 'PAYLOAD_TOO_LARGE',
      details: { limit: 'bodyBytesMax', value: bytesMax },
    },
  );
}
