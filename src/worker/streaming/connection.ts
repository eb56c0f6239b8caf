// One stream to an engine: WorkerService.Connect, in Connect's streaming protocol over HTTP/2, in clear text or over TLS.
//
//   opening ──registered──► open ──► closed
//      └──────────refused──────────►

import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { ConnectionError, IronflowError } from '@ironflow/core';
import { EnvelopeReader, enveloped, type Registered, readRegistered } from '@ironflow/core/frames';
import type { Turns } from '../../turns.ts';
import { errorFrom } from '../http.ts';

export interface ConnectionOptions {
  readonly serverUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The first message. */
  readonly register: Uint8Array;
  readonly turns: Turns;
  readonly registered: (registered: Registered) => void;
  readonly received: (message: Uint8Array) => void;
}

const PATH = '/ironflow.v1.WorkerService/Connect';
/** How long the engine may take to answer the registration, in milliseconds. */
const REGISTER_MS = 15_000;
/** What the engine may send before it has to wait, in bytes. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** How long the engine may take to end a stream whose worker has said good-bye, in milliseconds. */
const GOOD_BYE_MS = 1_000;
/** Statuses of Connect's error codes, as far as a worker tells them apart. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  resource_exhausted: 429,
  unimplemented: 501,
  unavailable: 503,
};

export class Connection {
  /** Rejects when the stream is over, with the reason; resolves when it was closed from here. */
  readonly closed: Promise<void>;
  readonly #over = Promise.withResolvers<void>();
  readonly #options: ConnectionOptions;
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #envelopes = new EnvelopeReader();
  readonly #cancelLate: () => void;
  #registered = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.closed = this.#over.promise;
    const url = new URL(options.serverUrl);
    this.#session = connect(url.origin, { settings: { initialWindowSize: WINDOW_BYTES, enablePush: false } });
    this.#session.on('connect', () => this.#session.setLocalWindowSize(WINDOW_BYTES));
    this.#session.on('error', (error) => this.#fail(unreachable(url.origin, error)));
    this.#session.on('close', () => this.#fail(unreachable(url.origin, 'the connection was closed')));
    this.#stream = this.#session.request(
      {
        ':method': 'POST',
        ':path': `${url.pathname.replace(/\/+$/, '')}${PATH}`,
        'content-type': 'application/connect+proto',
        'connect-protocol-version': '1',
        ...options.headers,
      },
      { endStream: false },
    );
    this.#stream.on('response', (headers) => this.#answered(Number(headers[':status'])));
    this.#stream.on('data', (piece: Buffer) => this.#read(piece));
    this.#stream.on('error', (error) => this.#fail(unreachable(url.origin, error)));
    this.#stream.on('close', () => this.#fail(unreachable(url.origin, 'the engine ended the stream')));
    this.#stream.write(enveloped(options.register));
    this.#cancelLate = options.turns.after(REGISTER_MS, () =>
      this.#fail(unreachable(url.origin, `it did not register the worker within ${REGISTER_MS} ms`)),
    );
  }

  send(envelope: Uint8Array): void {
    if (!this.#stream.destroyed && this.#stream.writable) this.#stream.write(envelope);
  }

  /** Gives the stream up at once. */
  abandon(reason: string): void {
    this.#fail(unreachable(this.#options.serverUrl, reason));
  }

  /** Says the last word, and waits a moment for the engine to have heard it. */
  async leave(lastFrame: Uint8Array): Promise<void> {
    this.send(lastFrame);
    const cancel = this.#options.turns.after(GOOD_BYE_MS, () => this.#end());
    await this.closed.catch(() => {});
    cancel();
    this.#end();
  }

  #end(): void {
    this.#cancelLate();
    this.#over.resolve();
    this.#session.destroy();
  }

  #fail(error: IronflowError): void {
    this.#cancelLate();
    this.#over.reject(error);
    this.#session.destroy();
  }

  #answered(status: number): void {
    if (status === 200) return;
    const body = JSON.stringify({ message: `the engine answered ${status}` });
    this.#fail(status === 404 || status === 501 ? unsupported() : errorFrom({ status, body }, 'Opening a stream'));
  }

  #read(piece: Buffer): void {
    try {
      for (const { isEnd, message } of this.#envelopes.push(piece)) {
        if (isEnd) this.#ended(message);
        else if (this.#registered) this.#options.received(message);
        else this.#register(message);
      }
    } catch (error) {
      this.#fail(
        error instanceof IronflowError
          ? error
          : new ConnectionError(`The engine sent what this worker cannot read: ${String(error)}`, { cause: error }),
      );
    }
  }

  #register(message: Uint8Array): void {
    const registered = readRegistered(message);
    if (registered === undefined) return;
    this.#cancelLate();
    this.#registered = true;
    this.#options.registered(registered);
  }

  #ended(message: Uint8Array): void {
    const { error } = JSON.parse(new TextDecoder().decode(message)) as { error?: { code?: string } };
    if (error === undefined) {
      this.#fail(unreachable(this.#options.serverUrl, 'the engine ended the stream'));
      return;
    }
    const status = STATUS_OF_CODE[error.code ?? ''] ?? 500;
    if (status === 501) this.#fail(unsupported());
    else this.#fail(errorFrom({ status, body: JSON.stringify(error) }, 'The stream to the engine'));
  }
}

/** The engine does not know this stream, or not this form of it. */
export function unsupported(): IronflowError {
  return new IronflowError(
    "The engine does not speak the streaming worker's form of messages. Use createWorker with the polling transport, or a newer engine.",
    { code: 'STREAMING_NOT_SUPPORTED', status: 501 },
  );
}

function unreachable(where: string, reason: unknown): ConnectionError {
  const why = reason instanceof Error ? reason.message : String(reason);
  return new ConnectionError(`The stream to the engine at ${where} is over: ${why}.`, { cause: reason });
}
