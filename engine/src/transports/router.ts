// Router: from a request to its handler, through the checks that every request passes: host, key, environment.

import { createHash, timingSafeEqual } from 'node:crypto';
import { IronflowError, UnauthenticatedError } from '@ironflow/core';
import createRouter from 'find-my-way';
import type { Engine } from '../engine.ts';
import { answerConnect, connectError } from './connect/unary.ts';
import { type Answer, type Exchange, publicError } from './exchange.ts';
import { restError, restRoutes } from './rest/index.ts';
import type { Route } from './rest/route.ts';

export interface RouterOptions {
  readonly engine: Engine;
  /** Keys that may call. With none, everybody who can reach the port may. */
  readonly apiKeys?: readonly string[] | undefined;
  /** Answer calls under any host name although there are no keys. */
  readonly anyHost?: boolean | undefined;
  /** What callers without a key are called in audit trails. Default `anonymous`. */
  readonly caller?: string | undefined;
}

const CONNECT_PATH = /^\/(ironflow\.v1\.[A-Za-z]+\/[A-Za-z]+)$/;
const ENVIRONMENT = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

export class Router {
  readonly #engine: Engine;
  readonly #keyHashes: readonly Buffer[];
  readonly #anyHost: boolean;
  readonly #caller: string;
  readonly #routes = createRouter<createRouter.HTTPVersion.V1>({ maxParamLength: 1_024 });

  constructor({ engine, apiKeys = [], anyHost = false, caller = 'anonymous' }: RouterOptions) {
    this.#engine = engine;
    this.#anyHost = anyHost;
    this.#caller = caller;
    this.#keyHashes = apiKeys.map(sha256);
    for (const route of restRoutes) this.#routes.on(route.method, route.path, noop, route);
  }

  /** Answers a request. Never throws: what goes wrong is an answer too. */
  async answer(exchange: Exchange): Promise<Answer> {
    const connect = CONNECT_PATH.exec(exchange.path)?.[1];
    const toAnswer = connect === undefined ? restError : connectError;
    try {
      return connect === undefined ? await this.#answerRest(exchange) : await this.#answerConnect(connect, exchange);
    } catch (error) {
      return toAnswer(publicError(error, this.#engine.logger, { method: exchange.method, path: exchange.path }));
    }
  }

  /**
   * Lets a worker's stream through the same checks.
   * @throws {IronflowError} when it does not pass; nothing but what `publicError` may show.
   */
  admitStream(exchange: Exchange): { readonly engine: Engine; readonly env: string } {
    try {
      this.#authenticate(exchange, false);
      return { engine: this.#engine, env: environmentOf(exchange) };
    } catch (error) {
      throw publicError(error, this.#engine.logger, { path: exchange.path });
    }
  }

  #answerConnect(name: string, exchange: Exchange): Promise<Answer> {
    if (exchange.method !== 'POST') throw methodNotAllowed(exchange, ['POST']);
    const actor = this.#authenticate(exchange, false);
    return answerConnect(name, { engine: this.#engine, env: environmentOf(exchange), exchange, actor });
  }

  async #answerRest(exchange: Exchange): Promise<Answer> {
    const found = this.#routes.find(exchange.method as 'GET', exchange.path); // any other method finds nothing
    if (found === null) {
      const others = (['GET', 'POST', 'PUT', 'DELETE'] as const).filter(
        (method) => this.#routes.find(method, exchange.path) !== null,
      );
      if (others.length > 0) throw methodNotAllowed(exchange, others);
      this.#authenticate(exchange, false);
      throw new IronflowError(`There is nothing at ${exchange.path}. See docs/reference/http.md for what there is.`, {
        code: 'NOT_FOUND',
      });
    }
    const route = found.store as Route; // what the constructor stored
    const actor = this.#authenticate(exchange, route.open ?? false);
    return route.handle({ engine: this.#engine, exchange, env: environmentOf(exchange), params: found.params, actor });
  }

  /** @returns what the caller is called in audit trails: a key by the beginning of its hash. */
  #authenticate(exchange: Exchange, open: boolean): string {
    if (open) return this.#caller;
    if (this.#keyHashes.length === 0) {
      if (!this.#anyHost) assertLocalHost(exchange);
      return this.#caller;
    }
    const key = /^Bearer (.+)$/i.exec(exchange.header('authorization') ?? '')?.[1];
    if (key === undefined)
      throw new UnauthenticatedError('This engine asks for an API key. Send it as "Authorization: Bearer <key>".');
    const hash = sha256(key);
    // Every key is compared, each in constant time, so the answer's timing tells nothing of them.
    const known = this.#keyHashes.reduce((any, stored) => timingSafeEqual(stored, hash) || any, false);
    if (!known)
      throw new UnauthenticatedError('The API key is not known to this engine. Check IRONFLOW_API_KEY on both sides.');
    return `key ${hash.toString('hex').slice(0, 12)}`;
  }
}

/**
 * Without keys an engine is for its own machine. A web page from elsewhere may make a browser call it under a name of its
 * own that resolves to this machine; such a call carries that name as its host.
 */
function assertLocalHost(exchange: Exchange): void {
  const host = exchange.header('host');
  if (host === undefined) return;
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if (/^(localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/.test(name)) return;
  throw new IronflowError(
    `This engine has no API keys and answers its own machine only, not "${host}". Give it keys to be called from elsewhere.`,
    {
      code: 'UNAUTHORIZED',
    },
  );
}

function environmentOf(exchange: Exchange): string {
  const name = exchange.header('x-ironflow-environment') ?? '';
  if (name === '') return 'default';
  if (ENVIRONMENT.test(name)) return name;
  throw new IronflowError(`"${name}" is no environment name. Use up to 63 letters, digits, "-", "_" and ".".`, {
    code: 'VALIDATION_ERROR',
  });
}

function methodNotAllowed(exchange: Exchange, allowed: readonly string[]): IronflowError {
  return new IronflowError(`${exchange.method} is not for ${exchange.path}. Use ${allowed.join(' or ')}.`, {
    code: 'METHOD_NOT_ALLOWED',
  });
}

const sha256 = (text: string) => createHash('sha256').update(text).digest();
const noop = () => {};
