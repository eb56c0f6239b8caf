import type { IronflowError } from '@ironflow/core';
import type { Engine } from '../../engine.ts';
import type { LineHandlers, StreamLine } from '../../workers/stream-line.ts';

/** One form of messages. */
export interface Line {
  readonly handlers: LineHandlers;
  /** The worker is registered: what is for it may be sent. */
  opened(line: StreamLine): void;
  /** @throws {ValidationError} for what is no message. */
  received(message: Uint8Array): void;
  closed(): void;
}

/** What a line sends by. */
export interface LineOutlet {
  readonly engine: Engine;
  readonly workerId: string;
  send(envelope: Uint8Array): void;
  /** Ends the stream: `undefined` where the worker has said good-bye. */
  end(error: IronflowError | undefined): void;
}
