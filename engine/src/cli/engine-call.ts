// Calls of a running engine, over HTTP.

import { ConnectionError, IronflowError, isErrorCode } from '@ironflow/core';
import type { Program } from './program.ts';

/** Options that say which engine is called. */
export const callHelp = `  --url <url>             The engine. Default http://localhost:9123, or IRONFLOW_SERVER_URL.
  --api-key <key>         Its key. Default: IRONFLOW_API_KEY.
  --env <name>            The environment. Default: default, or IRONFLOW_ENV.`;

export const callOptions = {
  url: { type: 'string' },
  'api-key': { type: 'string' },
  env: { type: 'string' },
} as const;

type Answer = Readonly<Record<string, unknown>>;

export interface EngineCaller {
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
}

export function engineCaller(
  values: {
    readonly url?: string | undefined;
    readonly 'api-key'?: string | undefined;
    readonly env?: string | undefined;
  },
  { env }: Pick<Program, 'env'>,
): EngineCaller {
  const url = (values.url ?? (env['IRONFLOW_SERVER_URL'] || 'http://localhost:9123')).replace(/\/+$/, '');
  // The server's variable may hold several keys.
  const key = values['api-key'] ?? env['IRONFLOW_API_KEY']?.split(',')[0]?.trim();
  const environment = values.env ?? env['IRONFLOW_ENV'];
  const headers = {
    'content-type': 'application/json',
    ...(key && { authorization: `Bearer ${key}` }),
    ...(environment && { 'x-ironflow-environment': environment }),
  };
  const call = async (path: string, init: RequestInit): Promise<Answer> => {
    let response: Response;
    try {
      response = await fetch(url + path, { headers, ...init });
    } catch (cause) {
      throw new ConnectionError(`The engine at ${url} could not be reached. Is it running, and is --url right?`, {
        cause,
      });
    }
    const answer = (await response.json().catch(() => ({}))) as Answer;
    if (response.ok) return answer;
    const code = String(answer['code']);
    throw new IronflowError(String(answer['error'] ?? `The engine answered with status ${response.status}.`), {
      code: isErrorCode(code) ? code : 'UNKNOWN_ERROR',
    });
  };
  return {
    get: (path) => call(path, { method: 'GET' }),
    post: (path, body) => call(path, { method: 'POST', body: JSON.stringify(body) }),
  };
}
