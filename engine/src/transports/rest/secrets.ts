// The secrets of an environment, over REST. Values go in, and never come out.

import { IronflowError, limits } from '@ironflow/core';
import { parseInput, secretValueRequest, setSecretRequest } from '@ironflow/core/wire';
import { type Answer, json, noContent, readJson } from '../exchange.ts';
import type { RestRequest, Route } from './route.ts';

export const secretRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/secrets',
    handle: async ({ engine, env }) => json(await engine.listSecrets(env)),
  },
  {
    method: 'POST',
    path: '/api/v1/secrets',
    async handle(request) {
      const { name, value } = parseInput(setSecretRequest, await body(request), 'secret');
      return set(request, name, value);
    },
  },
  {
    method: 'PUT',
    path: '/api/v1/secrets/:name',
    async handle(request) {
      const { value } = parseInput(secretValueRequest, await body(request), 'secret');
      return set(request, parseInput(setSecretRequest.shape.name, nameOf(request), 'secret'), value);
    },
  },
  {
    method: 'GET',
    path: '/api/v1/secrets/:name',
    async handle(request) {
      const found = (await request.engine.listSecrets(request.env)).find(({ name }) => name === nameOf(request));
      if (found === undefined) throw notFound(request);
      return json(found);
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/secrets/:name',
    async handle(request) {
      if (!(await request.engine.removeSecret(request.env, nameOf(request)))) throw notFound(request);
      return noContent;
    },
  },
];

async function set({ engine, env }: RestRequest, name: string, value: string): Promise<Answer> {
  const { secret, created } = await engine.setSecret(env, name, value);
  return json(secret, created ? 201 : 200);
}

const body = ({ exchange }: RestRequest) => readJson(exchange, limits.bodyBytesMax);
const nameOf = ({ params }: RestRequest) => params['name'] ?? '';

function notFound(request: RestRequest): IronflowError {
  return new IronflowError(`Environment "${request.env}" has no secret "${nameOf(request)}".`, {
    code: 'SECRET_NOT_FOUND',
  });
}
