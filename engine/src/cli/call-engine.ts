import { IronflowError, isErrorCode, ValidationError } from '@ironflow/core';
import type { Program } from './program.ts';

export const callHelp = `  --url <url>             The engine's address. Default http://localhost:9123, or IRONFLOW_SERVER_URL.
  --env <name>            Environment. Default "default", or IRONFLOW_ENV.`;

export interface EngineAddress {
  readonly url: string;
  readonly environment: string;
  readonly apiKey: string | undefined;
}

/** @throws {ValidationError} when the address is none. */
export function addressFrom(
  { url, env }: { readonly url?: string | undefined; readonly env?: string | undefined },
  program: Pick<Program, 'env'>,
): EngineAddress {
  const given = (value: string | undefined, name: string) => value ?? (program.env[name] || undefined);
  const address = given(url, 'IRONFLOW_SERVER_URL') ?? 'http://localhost:9123';
  if (!/^https?:\/\//.test(address) || !URL.canParse(address))
    throw new ValidationError(`--url is "${address}"; it must be a URL such as http://localhost:9123.`);
  return {
    url: address.replace(/\/+$/, ''),
    environment: given(env, 'IRONFLOW_ENV') ?? 'default',
    apiKey: given(undefined, 'IRONFLOW_API_KEY')?.split(',', 1)[0]?.trim(),
  };
}

/** @throws {IronflowError} what the engine said, or CONNECTION_LOST when it could not be reached. */
export async function callEngine(
  { url, environment, apiKey }: EngineAddress,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const headers: Record<string, string> = { 'x-ironflow-environment': environment };
  if (apiKey !== undefined) headers['authorization'] = `Bearer ${apiKey}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let status: number;
  let text: string;
  try {
    const response = await fetch(url + path, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    status = response.status;
    text = await response.text();
  } catch (cause) {
    throw new IronflowError(`No engine answers at ${url}. Start one with "ironflow serve", or name it with --url.`, {
      code: 'CONNECTION_LOST',
      cause,
    });
  }
  const answer = parsed(text);
  if (status >= 200 && status < 300) return answer;
  const { error, code = '' } = (answer ?? {}) as { readonly error?: string; readonly code?: string };
  throw new IronflowError(error ?? `The engine answered ${status}.`, {
    status,
    code: isErrorCode(code) ? code : 'UNKNOWN_ERROR',
  });
}

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
