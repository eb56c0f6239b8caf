// What a transport handler sees of a request and says in answer, whatever server carries it.

import {
  assertJsonDepth,
  type ErrorCode,
  errorCatalogue,
  IronflowError,
  isErrorCode,
  isIronflowError,
} from '@ironflow/core';
import type { Logger } from '../ports/logger.ts';

export interface Exchange {
  readonly method: string;
  /** Path with the query left out, without doubled slashes. */
  readonly path: string;
  readonly query: URLSearchParams;
  header(name: string): string | undefined;
  /** The body as text; read once. @throws {IronflowError} when it is larger than `bytesMax`. */
  body(bytesMax: number): Promise<string>;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** JSON text; empty for an answer without a body. */
  readonly body: string;
  /** Called when the body could not be handed to the caller. */
  readonly undelivered?: () => void;
}

export const json = (value: unknown, status = 200): Answer => ({ status, body: JSON.stringify(value) });
export const jsonText = (body: string, status = 200): Answer => ({ status, body });
export const noContent: Answer = { status: 204, body: '' };

/**
 * The request's body as JSON. An empty body is an empty object.
 * @throws {IronflowError} INVALID_JSON, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE or LIMIT_EXCEEDED.
 */
export async function readJson(exchange: Exchange, bytesMax: number): Promise<unknown> {
  const text = await exchange.body(bytesMax);
  if (text.trim() === '') return {};
  // A browser sends any page's form or text here without asking; it does ask before it sends JSON.
  const type = exchange.header('content-type') ?? '';
  if (!/^application\/(?:[\w.+-]*\+)?json\b/i.test(type)) {
    throw new IronflowError(`The body's content type is "${type}". Send JSON as application/json.`, {
      code: 'UNSUPPORTED_MEDIA_TYPE',
    });
  }
  assertJsonDepth(text, 'request body');
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new IronflowError(`The request body is not JSON: ${reason}`, { code: 'INVALID_JSON', cause: error });
  }
}

/** Any error as one of ours; what is not ours is logged and hidden behind INTERNAL_ERROR. */
export function publicError(error: unknown, logger: Logger, fields: Readonly<Record<string, unknown>>): IronflowError {
  if (isIronflowError(error)) {
    if (error.code === 'INTERNAL_ERROR') logger.error('a request met a defect', { ...fields, error });
    return error;
  }
  logger.error('a request failed unexpectedly', { ...fields, error });
  return new IronflowError('The engine met an unexpected error; its log has it. Trying again may help.', {
    code: 'INTERNAL_ERROR',
  });
}

export function statusOf(error: IronflowError): number {
  if (error.status !== undefined) return error.status;
  const code: string = error.code;
  return isErrorCode(code) ? errorCatalogue[code satisfies ErrorCode].status : 500;
}
