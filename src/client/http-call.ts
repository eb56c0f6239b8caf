import {
  ConnectionError,
  EnterpriseRequiredError,
  FunctionNotFoundError,
  IronflowError,
  isErrorCode,
  NotSerializableError,
  RunNotFoundError,
  RunStateError,
  StepNotFoundError,
  TimeoutError,
  UnauthenticatedError,
  UnauthorizedError,
  ValidationError,
} from '@ironflow/core';
import type { LocalEngine } from '@ironflow/core/wire';
import { systemTurns } from '../turns.ts';
import { type Answered, NoAnswerError, type Sent, send } from './send.ts';

export interface HttpCallOptions {
  readonly serverUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly engine: LocalEngine | undefined;
}

export interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  /** Whether calling twice is the same as calling once: then a lost connection is tried again. */
  readonly safe: boolean;
  /** In place of the client's timeout, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** Pauses before the tries of a safe call that follow the first, in milliseconds. */
const RETRY_PAUSES_MS = [100, 400];

/** Makes calls of a client: keys, timeouts, retries where they are safe, and answers as values or typed errors. */
export class HttpCaller {
  readonly #options: HttpCallOptions;

  constructor(options: HttpCallOptions) {
    this.#options = options;
  }

  async call(call: Call): Promise<Readonly<Record<string, unknown>>> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.#once(call);
      } catch (error) {
        const pause = RETRY_PAUSES_MS[tries];
        if (!call.safe || pause === undefined || !isPassing(error)) throw error;
        await new Promise<void>((resolve) => systemTurns.after(pause, resolve));
      }
    }
  }

  async #once({
    method,
    path,
    body,
    timeoutMs = this.#options.timeoutMs,
  }: Call): Promise<Readonly<Record<string, unknown>>> {
    const { serverUrl, headers, engine } = this.#options;
    const sent: Sent = {
      method,
      url: serverUrl + path,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? undefined : jsonOf(body),
      timeoutMs,
    };
    let status: number;
    let text: string;
    try {
      ({ status, text } = await (engine === undefined ? send(sent) : sendInProcess(engine, path, sent)));
    } catch (error) {
      if (error instanceof NoAnswerError || (error instanceof Error && error.name === 'TimeoutError')) {
        throw new TimeoutError(
          `The engine did not answer within ${timeoutMs} ms; whether the call was carried out is not known.`,
          {
            timeoutMs,
            cause: error,
          },
        );
      }
      throw new ConnectionError(
        `The engine at ${serverUrl} could not be reached: ${reasonOf(error)}. Is it running, and is serverUrl right?`,
        {
          cause: error,
        },
      );
    }
    if (status >= 200 && status <= 299) return objectFrom(text) ?? {};
    throw errorFrom(status, text);
  }
}

async function sendInProcess(engine: LocalEngine, path: string, sent: Sent): Promise<Answered> {
  const { method, headers, body, timeoutMs } = sent;
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await engine.fetch(path, { method, headers, signal, ...(body !== undefined && { body }) });
  return { status: response.status, text: await response.text() };
}

function isPassing(error: unknown): boolean {
  return (
    error instanceof ConnectionError ||
    (error instanceof IronflowError && error.status !== undefined && error.status >= 502)
  );
}

function reasonOf(error: unknown): string {
  // Each address of the host was tried.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && cause.message !== '') return cause.message;
  return error instanceof Error ? error.message : String(error);
}

function objectFrom(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** An answer that is not 2xx as the error of its kind: Connect says `message`, REST says `error`. */
function errorFrom(status: number, text: string): IronflowError {
  const said = objectFrom(text);
  const message = textOf(said?.['message']) ?? textOf(said?.['error']) ?? (text.slice(0, 500) || `status ${status}`);
  const code = textOf(said?.['error_code']) ?? textOf(said?.['code']) ?? `HTTP_${status}`;
  const details = recordOf(said?.['error_details'] ?? said?.['details']);
  const options = { status, ...(details && { details }) };
  if (status === 401) return new UnauthenticatedError(`${message} Set apiKey, or IRONFLOW_API_KEY.`, options);
  if (status === 402) return new EnterpriseRequiredError(message, options);
  if (status === 403) return new UnauthorizedError(message, options);
  if (code === 'RUN_NOT_FOUND') return new RunNotFoundError(String(details?.['runId'] ?? ''), options);
  if (code === 'RUN_STATE') {
    const runId = textOf(details?.['runId']);
    return new RunStateError(message, { ...options, ...(runId !== undefined && { runId }) });
  }
  if (code === 'STEP_NOT_FOUND') return new StepNotFoundError(String(details?.['step'] ?? ''), options);
  if (code === 'FUNCTION_NOT_FOUND') return new FunctionNotFoundError(String(details?.['functionId'] ?? ''), options);
  if (code === 'VALIDATION_ERROR') {
    const issues = details?.['validationErrors'] as { readonly path: string; readonly message: string }[] | undefined;
    return new ValidationError(message, { ...options, validationErrors: issues ?? [] });
  }
  return new IronflowError(message, { ...options, code: isErrorCode(code) ? code : 'UNKNOWN_ERROR' });
}

/** Connect's own `details` are a list, which says nothing to us. */
function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** @throws {NotSerializableError} before anything is sent. */
function jsonOf(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    const [problem] = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1);
    throw new NotSerializableError(
      `What the call is given cannot be sent as JSON: ${problem}. Pass plain data: strings, finite numbers, booleans, null, arrays and objects of these.`,
      { cause },
    );
  }
}
