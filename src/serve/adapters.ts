// One handler for both worlds: Fetch (`Request` in, `Response` out) and Node (`req`, `res`).

import { IronflowError, limits } from '@ironflow/core';

/** What serve() needs of a request. */
export interface ServeRequest {
  readonly method: string;
  readonly path: string;
  header(name: string): string | undefined;
  /** The raw body. @throws {IronflowError} PAYLOAD_TOO_LARGE. */
  body(): Promise<string>;
  /** Calls back when the engine hangs up before it was answered: it has taken the job back. */
  onHangUp(callback: () => void): void;
}

export interface ServeResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The parts of Node's `IncomingMessage`, and what frameworks put on it, that are used. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What a body parser of the framework left: text, bytes or parsed JSON. */
  readonly body?: unknown;
  readonly originalUrl?: string | undefined;
  readonly readableEnded?: boolean;
  [Symbol.asyncIterator]?(): AsyncIterator<Uint8Array | string>;
}

export interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body?: string): unknown;
  on?(event: 'close', listener: () => void): unknown;
  readonly writableEnded?: boolean;
}

/** Hono hands its context, with the Fetch request in `req.raw`. */
interface FetchContext {
  readonly req: { readonly raw: Request };
}

/** Bytes of a push request: the memo of a long run may be in it. */
const REQUEST_BYTES_MAX = 8 * limits.bodyBytesMax;

export function isFetchRequest(value: unknown): value is Request {
  return (
    typeof value === 'object' &&
    value !== null &&
    'headers' in value &&
    typeof (value as Request).headers?.get === 'function' &&
    'text' in value
  );
}

export function isFetchContext(value: unknown): value is FetchContext {
  return (
    typeof value === 'object' && value !== null && 'req' in value && isFetchRequest((value as FetchContext).req?.raw)
  );
}

export function fromFetch(request: Request): ServeRequest {
  return {
    method: request.method,
    path: new URL(request.url).pathname,
    onHangUp: (callback) => request.signal?.addEventListener('abort', callback, { once: true }),
    header: (name) => request.headers.get(name) ?? undefined,
    async body() {
      if (Number(request.headers.get('content-length') ?? 0) > REQUEST_BYTES_MAX) throw tooLarge();
      if (request.body === null) return '';
      return textFrom(request.body as AsyncIterable<Uint8Array>); // web streams are async iterable in every runtime supported
    },
  };
}

export function toFetch({ status, headers, body }: ServeResponse): Response {
  return new Response(body, { status, headers });
}

export function fromNode(request: NodeRequest, response: NodeResponse): ServeRequest {
  return {
    onHangUp: (callback) =>
      response.on?.('close', () => {
        if (response.writableEnded === false) callback();
      }),
    method: request.method ?? 'GET',
    path: (request.originalUrl ?? request.url ?? '/').split('?', 1)[0] ?? '/',
    header(name) {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    async body() {
      const { body } = request;
      if (typeof body === 'string') return body;
      if (body instanceof Uint8Array) return new TextDecoder().decode(body);
      // Parsed already: written again, it is what the engine signed, which sends JSON as JSON.stringify writes it.
      if (body !== undefined && body !== null && request.readableEnded !== false) return JSON.stringify(body);
      if (request[Symbol.asyncIterator] === undefined) return '';
      return textFrom(request as AsyncIterable<Uint8Array | string>);
    },
  };
}

export function toNode(answer: ServeResponse, response: NodeResponse): void {
  response.statusCode = answer.status;
  for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
  response.end(answer.body);
}

async function textFrom(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > REQUEST_BYTES_MAX) throw tooLarge();
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function tooLarge(): IronflowError {
  return new IronflowError(`The request body is larger than the ${REQUEST_BYTES_MAX} bytes allowed.`, {
    code: 'PAYLOAD_TOO_LARGE',
  });
}
