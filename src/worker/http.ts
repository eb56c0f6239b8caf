import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { ConnectionError, IronflowError, UnauthenticatedError, UnauthorizedError } from '@ironflow/core';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

export interface HttpOptions {
  readonly serverUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** How long the engine may take for an answer that it does not hold back, in milliseconds. */
const ANSWER_MS = 15_000;

/** Calls the engine over connections that are kept open. */
export class Http {
  readonly #base: URL;
  readonly #prefix: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #request: typeof httpRequest;

  constructor({ serverUrl, headers }: HttpOptions) {
    this.#base = new URL(serverUrl);
    this.#prefix = this.#base.pathname.replace(/\/+$/, '');
    this.#headers = headers;
    const secure = this.#base.protocol === 'https:';
    this.#agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true });
    this.#request = secure ? httpsRequest : httpRequest;
  }

  /**
   * @param limitMs - How long to wait for the answer. An engine that is frozen keeps its connections: another one may be reached
   *   over a new one.
   * @throws {ConnectionError} when no whole answer came.
   */
  call(
    method: string,
    path: string,
    body: string | undefined,
    stopped: AbortSignal,
    limitMs = ANSWER_MS,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.any([stopped, AbortSignal.timeout(limitMs)]);
      const fail = (error: unknown) =>
        reject(
          new ConnectionError(`The engine at ${this.#base.origin} could not be reached: ${reasonOf(error)}`, {
            cause: error,
          }),
        );
      const request = this.#request(
        {
          protocol: this.#base.protocol,
          hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
          port: this.#base.port,
          method,
          path: this.#prefix + path,
          agent: this.#agent,
          signal,
          headers: {
            ...this.#headers,
            'content-type': 'application/json',
            ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            if (response.complete)
              resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
            else fail(new Error('the answer broke off'));
          });
          response.on('error', fail);
        },
      );
      request.on('error', fail);
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error);
}

/** What an answer that is not 2xx says, as an error. */
export function errorFrom({ status, body }: HttpAnswer, what: string): IronflowError {
  const { message, code, details } = saidBy(body);
  if (status === 401)
    return new UnauthenticatedError(
      `${what} was refused: ${message || 'no valid API key'}. Set apiKey or IRONFLOW_API_KEY.`,
    );
  if (status === 403)
    return new UnauthorizedError(`${what} was refused: ${message || 'the API key lacks the permission'}.`);
  return new IronflowError(
    `${what} failed with status ${status}: ${message || body.slice(0, 200) || 'no reason given'}`,
    {
      code: code ?? 'UNKNOWN_ERROR',
      retryable: status >= 500 || status === 429,
      status,
      ...(details && { details }),
    },
  );
}

interface Said {
  readonly message: string;
  readonly code: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
}

/** REST says `error`, `code` and `details`; Connect has forms of its own for these, and ours beside them. */
function saidBy(body: string): Said {
  try {
    const { error, message, code, error_code, details, error_details } = JSON.parse(body) as Record<string, unknown>;
    const text = typeof error === 'string' ? error : message;
    const said = typeof error_code === 'string' ? error_code : code;
    const more = error_details ?? details;
    return {
      message: typeof text === 'string' ? text : '',
      code: typeof said === 'string' ? said : undefined,
      details:
        more !== null && typeof more === 'object' && !Array.isArray(more)
          ? (more as Record<string, unknown>)
          : undefined,
    };
  } catch {
    return { message: '', code: undefined, details: undefined };
  }
}
