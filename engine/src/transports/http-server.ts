// One port for HTTP/1.1 and for HTTP/2 in clear text with prior knowledge, told apart by a connection's first bytes: HTTP/2
// begins with "PRI * HTTP/2.0", which is no request of HTTP/1.1.

import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { IronflowError } from '@ironflow/core';
import type { Clock } from '../ports/clock.ts';
import type { Answer, Exchange } from './exchange.ts';
import type { Router } from './router.ts';
import { shuttingDown } from './stream/end-of-stream.ts';
import { WORKER_STREAM_PATH, WORKER_STREAM_TYPE, WorkerStream } from './stream/worker-stream.ts';

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
}

// Node's compatibility layer gives requests of HTTP/2 the same methods; only their types do not meet.
type Request = IncomingMessage;
type Response = ServerResponse;

/** A connection that says nothing for this long is ended, in milliseconds. */
const FIRST_BYTES_MS = 60_000;
/** What a peer may send on a connection, and on one of its streams, before it has to wait, in bytes. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/**
 * Connections that may wait to be taken; the system may allow fewer. When many clients come at once (after a restart), those beyond it are
 * dropped, and try again after 1, 3, 7 and 15 seconds.
 */
const BACKLOG = 4_096;
/** How long open requests get to end when the server is closed, in milliseconds. */
const CLOSE_MS = 2_000;

export class HttpServer {
  readonly #router: Router;
  readonly #clock: Clock;
  readonly #tcp: Server;
  readonly #http1 = createHttp1({ keepAlive: true, keepAliveTimeout: 75_000 }, (request, response) => {
    void this.#answer(request, response);
  });
  readonly #http2 = createHttp2({ settings: { initialWindowSize: WINDOW_BYTES } }, (request, response) => {
    if (isWorkerStream(request)) this.#openStream(request, response);
    else void this.#answer(request as unknown as Request, response as unknown as Response);
  });
  readonly #workerStreams = new Set<WorkerStream>();
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Requests under way on each connection of HTTP/1.1. */
  readonly #busy = new Map<Socket, number>();
  #closing = false;

  constructor(router: Router, clock: Clock) {
    this.#router = router;
    this.#clock = clock;
    this.#tcp = createTcp({ noDelay: true }, (socket) => this.#sort(socket));
    // A client that breaks the protocol ends its own connection and nothing else.
    this.#http2.on('sessionError', () => {});
    this.#http2.on('session', (session) => {
      session.setLocalWindowSize(WINDOW_BYTES);
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      session.on('error', () => {});
    });
  }

  /** @throws {IronflowError} PORT_IN_USE. */
  async listen({ host, port }: ListenOptions): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once('error', (error: NodeJS.ErrnoException) => {
        reject(error.code === 'EADDRINUSE' ? portInUse(host, port, error) : error);
      });
      this.#tcp.listen({ port, host, backlog: BACKLOG }, resolve);
    });
    return this.#tcp.address() as AddressInfo; // a TCP server that listens
  }

  /** Takes no new connections and ends the idle ones; requests under way get a moment to end. */
  async close(): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const stream of this.#workerStreams) stream.end(shuttingDown());
    const sessions = [...this.#sessions].filter(({ destroyed }) => !destroyed); // those have no socket any more
    const http2 = new Set(sessions.map(({ socket }) => socket.remotePort));
    for (const session of sessions) session.close();
    for (const socket of this.#sockets) {
      if (!this.#busy.has(socket) && !http2.has(socket.remotePort)) socket.destroy();
    }
    const giveUp = this.#clock.setTimer(CLOSE_MS, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await closed;
    giveUp.cancel();
  }

  #sort(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const end = () => socket.destroy();
    socket.setTimeout(FIRST_BYTES_MS, end);
    socket.once('error', end);
    socket.once('data', (first: Buffer) => {
      socket.setTimeout(0);
      socket.off('timeout', end);
      socket.off('error', end);
      socket.pause();
      socket.unshift(first);
      if (isHttp2(first)) this.#http2.emit('connection', socket);
      else {
        this.#http1.emit('connection', socket);
        socket.resume();
      }
    });
  }

  async #answer(request: Request, response: Response): Promise<void> {
    const gone = new AbortController();
    this.#begin(request);
    response.on('close', () => {
      if (!response.writableFinished) gone.abort();
      this.#end(request);
    });
    const answer = await this.#router.answer(new NodeExchange(request, gone.signal));
    if (gone.signal.aborted) {
      answer.undelivered?.();
      return;
    }
    send(response, answer, request);
  }

  #openStream(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const gone = new AbortController();
    try {
      if (this.#closing) throw shuttingDown();
      const { engine, env } = this.#router.admitStream(new NodeExchange(request as unknown as Request, gone.signal));
      const stream = new WorkerStream(engine, env, response.stream);
      this.#workerStreams.add(stream);
      response.stream.on('close', () => this.#workerStreams.delete(stream));
    } catch (error) {
      WorkerStream.refuse(response.stream, error as IronflowError); // as both throw
    }
  }

  #begin(request: Request): void {
    if (request.httpVersionMajor === 1) this.#busy.set(request.socket, (this.#busy.get(request.socket) ?? 0) + 1);
  }

  #end(request: Request): void {
    if (request.httpVersionMajor !== 1) return;
    const left = (this.#busy.get(request.socket) ?? 1) - 1;
    if (left > 0) this.#busy.set(request.socket, left);
    else {
      this.#busy.delete(request.socket);
      if (this.#closing) request.socket.destroySoon();
    }
  }
}

function send(response: Response, answer: Answer, request: Request): void {
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
      ...(!request.complete && request.httpVersionMajor === 1 && { connection: 'close' }),
    });
  }
  response.end(body);
}

class NodeExchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly signal: AbortSignal;
  readonly #request: Request;
  readonly #search: string;
  #query: URLSearchParams | undefined;

  constructor(request: Request, signal: AbortSignal) {
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
    const { headers } = this.#request;
    const value = headers[name] ?? (name === 'host' ? headers[':authority'] : undefined);
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

function isWorkerStream({ method, url, headers }: Http2ServerRequest): boolean {
  return method === 'POST' && url === WORKER_STREAM_PATH && headers['content-type'] === WORKER_STREAM_TYPE;
}

/** The first bytes may come in pieces; three of them tell, for no method of HTTP/1.1 begins with "PRI". */
function isHttp2(first: Buffer): boolean {
  return first.toString('latin1', 0, 3) === 'PRI';
}

function portInUse(host: string, port: number, cause: unknown): IronflowError {
  return new IronflowError(
    `Port ${port} on ${host} is in use, perhaps by another engine. Stop that program, or choose a port with --port.`,
    { code: 'PORT_IN_USE', cause },
  );
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
