import { IronflowError } from '@ironflow/core';
import { END_OF_STREAM, enveloped } from '@ironflow/core/frames';
import { connectError } from '../connect/unary.ts';

/** The last envelope of a stream: how it ended, as Connect says it. */
export function endOfStream(error?: IronflowError): Uint8Array {
  const body = error === undefined ? '{}' : `{"error":${connectError(error).body}}`;
  return enveloped(Buffer.from(body), END_OF_STREAM);
}

// Why the engine ends a stream, where its worker is to come back.

export function moved(): IronflowError {
  return unavailable('This worker has opened another stream, here or at another engine.');
}

export function notRegistered(): IronflowError {
  return unavailable('This worker is not registered any more: it was silent for too long. Register it again.');
}

export function shuttingDown(): IronflowError {
  return unavailable('The engine is shutting down. Connect again in a moment.');
}

function unavailable(message: string): IronflowError {
  return new IronflowError(message, { code: 'UNAVAILABLE' });
}
