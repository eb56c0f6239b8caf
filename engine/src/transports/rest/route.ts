import { limits } from '@ironflow/core';
import type { Engine } from '../../engine.ts';
import { type Answer, type Exchange, readJson } from '../exchange.ts';

export interface RestRequest {
  readonly engine: Engine;
  readonly exchange: Exchange;
  readonly env: string;
  readonly params: Readonly<Record<string, string | undefined>>;
  /** Who calls. */
  readonly actor: string;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** Answered without a key. */
  readonly open?: boolean;
  readonly handle: (request: RestRequest) => Promise<Answer> | Answer;
}

export const param = ({ params }: RestRequest, name: string): string => params[name] ?? '';
export const body = ({ exchange }: RestRequest) => readJson(exchange, limits.bodyBytesMax);
