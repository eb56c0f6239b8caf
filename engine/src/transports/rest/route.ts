import type { Engine } from '../../engine.ts';
import type { Answer, Exchange } from '../exchange.ts';

export interface RestRequest {
  readonly engine: Engine;
  readonly exchange: Exchange;
  readonly env: string;
  readonly params: Readonly<Record<string, string | undefined>>;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** Answered without a key. */
  readonly open?: boolean;
  readonly handle: (request: RestRequest) => Promise<Answer> | Answer;
}
