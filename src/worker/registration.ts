// What a worker registers before it takes jobs, by whichever transport, and what a refusal of it means.

import { hostname } from 'node:os';
import { IronflowError, UnauthenticatedError, UnauthorizedError } from '@ironflow/core';
import type { WorkerHello } from '@ironflow/core/wire';
import { codeHashOf, type IronflowFunction, registrationOf } from '../function/index.ts';
import { version } from '../version.ts';
import { errorFrom, type Http, type HttpAnswer } from './http.ts';

/**
 * Registers functions with the engine.
 * @returns their versions, by id, where the engine tells.
 * @throws {IronflowError} FUNCTION_REGISTRATION_FAILED; {UnauthenticatedError} or {UnauthorizedError}; {ConnectionError}.
 */
export async function registerFunctions(
  http: Http,
  functions: readonly IronflowFunction[],
  stopped: AbortSignal,
): Promise<Readonly<Record<string, number>>> {
  const versions: Record<string, number> = {};
  for (const fn of functions) {
    const registration = registrationOf(fn, { mode: 'pull', codeHash: await codeHashOf(fn) });
    const path = '/ironflow.v1.IronflowService/RegisterFunction';
    const answer = await http.call('POST', path, JSON.stringify(registration), stopped);
    if (answer.status !== 200)
      throw registrationError(answer, 'FUNCTION_REGISTRATION_FAILED', `Registering function "${fn.id}"`);
    const { function: told } = parseObject(answer.body) as { function?: { version?: unknown } };
    if (typeof told?.version === 'number') versions[fn.id] = told.version;
  }
  return versions;
}

/** What a worker of this process tells of itself. */
export function helloOf(worker: {
  readonly workerId: string;
  readonly functions: readonly IronflowFunction[];
  readonly functionVersions: Readonly<Record<string, number>>;
  readonly jobsMax: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly executionsKept: number;
  readonly beat?: number;
}): WorkerHello {
  const { functions, ...rest } = worker;
  return {
    ...rest,
    hostname: hostname(),
    functionIds: functions.map(({ id }) => id),
    version: { sdk: `node/${version}`, runtime: `node/${process.versions.node}` },
  };
}

/** Whether the engine will say the same again: the key is refused, or what is registered is wrong. */
export function isFinal(error: unknown): boolean {
  if (error instanceof UnauthenticatedError || error instanceof UnauthorizedError) return true;
  if (!(error instanceof IronflowError) || error.status === undefined) return false;
  return error.status >= 400 && error.status < 500 && ![404, 408, 409, 429].includes(error.status);
}

export function registrationError(answer: HttpAnswer, code: string, what: string): IronflowError {
  const error = errorFrom(answer, what);
  if (error instanceof UnauthenticatedError || error instanceof UnauthorizedError) return error;
  const details = { ...error.details, code: error.code };
  return new IronflowError(error.message, {
    code,
    status: answer.status,
    retryable: !isFinal(error),
    details,
    cause: error,
  });
}

export function parseObject(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
