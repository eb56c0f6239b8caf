// A worker's stream: WorkerService.Connect over HTTP/2, in Connect's streaming protocol with binary messages.
//
//   opened ──register──► registering ──► speaking ──► ended
//     └───────────anything else, or silence──────────►
//
//   U1. The first message registers the worker. What it says it can do decides which form of messages follows: frames, or the
//       contract's own messages (published workers).
//   U2. A stream never ends cleanly from this side unless its worker said good-bye: a published worker that sees a clean end comes
//       back at once, without a pause.
//   U3. Messages are taken in their order; what came before the registration is stored waits for it.

import type { ServerHttp2Stream } from 'node:http2';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { IronflowError, limits, ValidationError } from '@ironflow/core';
import { EnvelopeReader, enveloped } from '@ironflow/core/frames';
import { EngineMessageSchema, type WorkerMessage, WorkerMessageSchema } from '@ironflow/core/proto';
import { capabilities, streamCapabilities, type WorkerHello, workerHelloFromJson } from '@ironflow/core/wire';
import type { Engine } from '../../engine.ts';
import type { Timer } from '../../ports/clock.ts';
import type { StreamLine } from '../../workers/stream-line.ts';
import { publicError } from '../exchange.ts';
import { ContractLine } from './contract-line.ts';
import { endOfStream } from './end-of-stream.ts';
import { FrameLine } from './frame-line.ts';
import type { Line, LineOutlet } from './line.ts';

/** How long a worker may take to register, in milliseconds. */
const REGISTER_MS = 10_000;

/** Where workers open their streams, and what with. */
export const WORKER_STREAM_PATH = '/ironflow.v1.WorkerService/Connect';
export const WORKER_STREAM_TYPE = 'application/connect+proto';

export class WorkerStream {
  readonly #engine: Engine;
  readonly #env: string;
  readonly #stream: ServerHttp2Stream;
  readonly #envelopes = new EnvelopeReader(limits.reportBytesMax);
  readonly #registering: Timer;
  #early: Uint8Array[] = [];
  #hello: WorkerHello | undefined;
  #line: Line | undefined;
  #opened: StreamLine | undefined;
  #ended = false;

  constructor(engine: Engine, env: string, stream: ServerHttp2Stream) {
    this.#engine = engine;
    this.#env = env;
    this.#stream = stream;
    this.#registering = engine.clock.setTimer(REGISTER_MS, () =>
      this.end(new ValidationError(`The worker did not register within ${REGISTER_MS} ms. "register" comes first.`)),
    );
    stream.respond({ ':status': 200, 'content-type': WORKER_STREAM_TYPE });
    stream.on('data', (piece: Buffer) => this.#read(piece));
    stream.on('end', () =>
      this.end(new IronflowError('The worker ended its side of the stream.', { code: 'UNAVAILABLE' })),
    );
    stream.on('error', () => {}); // 'close' follows
    stream.on('close', () => this.#closed());
  }

  /** Ends the stream, saying why: `undefined` where the worker has said good-bye. */
  end(error: IronflowError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#stream.destroyed) this.#stream.end(endOfStream(error));
    // Its worker learns from the end of the stream; one that keeps its side open is cut off.
    this.#stream.close();
    this.#closed();
  }

  /** Refuses a stream before it began. */
  static refuse(stream: ServerHttp2Stream, error: IronflowError): void {
    stream.respond({ ':status': 200, 'content-type': WORKER_STREAM_TYPE });
    stream.end(endOfStream(error));
  }

  #closed(): void {
    this.#ended = true;
    this.#registering.cancel();
    this.#line?.closed();
    this.#opened?.ended();
    this.#opened = undefined;
  }

  #read(piece: Buffer): void {
    if (this.#ended) return;
    try {
      for (const { message, isEnd } of this.#envelopes.push(piece)) {
        if (isEnd) continue; // of requests, HTTP/2 tells the end
        if (this.#hello === undefined) this.#register(fromBinary(WorkerMessageSchema, message));
        else if (this.#opened === undefined) this.#early.push(message);
        else this.#line?.received(message);
      }
    } catch (error) {
      this.end(this.#public(malformed(error)));
    }
  }

  #register({ payload }: WorkerMessage): void {
    if (payload.case !== 'register')
      throw new ValidationError(
        `The first message is "${payload.case ?? 'empty'}". Register the worker before anything else.`,
      );
    const { workerId, maxConcurrentJobs, ...rest } = payload.value;
    if (workerId === '' || workerId.length > limits.nameLengthMax)
      throw new ValidationError(
        `The worker id "${workerId}" is empty or longer than ${limits.nameLengthMax} characters.`,
      );
    const hello = workerHelloFromJson(
      { ...rest, ...(maxConcurrentJobs !== 0 && { maxConcurrentJobs }), version: { ...rest.version } },
      workerId,
    );
    this.#hello = hello;
    this.#registering.cancel();
    const outlet: LineOutlet = {
      engine: this.#engine,
      workerId,
      send: (envelope) => {
        if (!this.#ended) this.#stream.write(envelope);
      },
      end: (error) => this.end(error),
    };
    const speaksFrames = streamCapabilities.every((name) => hello.capabilities.includes(name));
    const line = speaksFrames ? new FrameLine(outlet) : new ContractLine(outlet);
    this.#line = line;
    this.#engine.workers.connectStream(this.#env, hello, line.handlers).then(
      (opened) => this.#open(opened, hello, line),
      (error: unknown) => this.end(this.#public(error)),
    );
  }

  #open(opened: StreamLine, hello: WorkerHello, line: Line): void {
    if (this.#ended) {
      opened.ended();
      return;
    }
    this.#opened = opened;
    this.#stream.write(enveloped(toBinary(EngineMessageSchema, registered(hello, opened))));
    line.opened(opened);
    try {
      for (const message of this.#early.splice(0)) if (!this.#ended) line.received(message);
    } catch (error) {
      this.end(this.#public(malformed(error)));
    }
  }

  #public(error: unknown): IronflowError {
    return publicError(error, this.#engine.logger, { workerId: this.#hello?.workerId ?? '' });
  }
}

function registered(hello: WorkerHello, { leaseMs }: StreamLine) {
  const known: readonly string[] = [...capabilities, ...streamCapabilities];
  const both = [...new Set(hello.capabilities.filter((name) => known.includes(name)))];
  return {
    $typeName: 'ironflow.v1.EngineMessage' as const,
    payload: {
      case: 'registered' as const,
      value: {
        $typeName: 'ironflow.v1.WorkerRegistered' as const,
        workerId: hello.workerId,
        heartbeatIntervalMs: Math.floor(leaseMs / 3),
        capabilities: both,
        leaseMs,
      },
    },
  };
}

/** What the protobuf library throws is the sender's mistake. */
function malformed(error: unknown): unknown {
  if (error instanceof IronflowError) return error;
  return new ValidationError(`A message cannot be read: ${error instanceof Error ? error.message : String(error)}.`, {
    cause: error,
  });
}
