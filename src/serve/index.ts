// serve(): functions behind an HTTP endpoint that the engine calls.
//
//   request ──method──► signature ──► JSON ──► function ──► execution ──► response
//     405                 401          400        404                       200, whatever the function did
//   V1. Nothing of the body is parsed before its signature has been checked.
//   V2. With an engine that offers checkpoints, each step is stored before the next begins.
//   V3. An execution whose request was given up is dropped, and the signals of its steps abort: the engine has its job back.
//   V4. What a function does wrong is an answer with status 200: only the endpoint's own trouble is another.

import {
  assertJsonDepth,
  type EventDefinitionRegistry,
  errorCatalogue,
  FunctionNotFoundError,
  IronflowError,
  isErrorCode,
  isIronflowError,
} from '@ironflow/core';
import { variable } from '../environment.ts';
import { functionsById, type IronflowFunction } from '../function/index.ts';
import { createJob } from '../job/index.ts';
import { type Logger, loggerFrom } from '../logger.ts';
import { systemTurns } from '../turns.ts';
import {
  fromFetch,
  fromNode,
  isFetchContext,
  isFetchRequest,
  type NodeRequest,
  type NodeResponse,
  type ServeRequest,
  type ServeResponse,
  toFetch,
  toNode,
} from './adapters.ts';
import { CheckpointQueue } from './checkpoint-queue.ts';
import { CheckpointJournal, type PushJournal, ResponseJournal } from './push-journal.ts';
import { pushRequestFrom } from './push-request.ts';
import { verifySignature } from './signature.ts';

export type { NodeRequest, NodeResponse } from './adapters.ts';

export interface ServeConfig {
  readonly functions: readonly IronflowFunction[];
  /** Key that requests must be signed with; several while a key is being changed. Default: `IRONFLOW_SIGNING_KEY`. */
  readonly signingKey?: string | readonly string[] | undefined;
  /** Take requests without looking at their signature. For development. */
  readonly skipVerification?: boolean | undefined;
  /** Versions of events: what comes in an older one is lifted to the latest before a function sees it. */
  readonly eventDefinitions?: EventDefinitionRegistry | undefined;
  /** Default: the console, from `IRONFLOW_LOG_LEVEL` up. `false`: none. */
  readonly logger?: Logger | false | undefined;
  /** Put on responses. Default: `IRONFLOW_ENV`, else `default`. */
  readonly environment?: string | undefined;
  /** The engine's address, where it differs from the one that the engine gives of itself. */
  readonly serverUrl?: string | undefined;
}

/**
 * Takes a Fetch request (Next.js, Deno, Workers), Node's `req` and `res` (Express, http), or a Hono context. (The last signature is
 * what Hono infers its route's types from.)
 */
export interface ServeHandler {
  (request: Request, ...rest: unknown[]): Promise<Response>;
  (request: NodeRequest, response: NodeResponse, ...rest: unknown[]): Promise<void>;
  (context: { readonly req: { readonly raw: Request } }, ...rest: unknown[]): Promise<Response>;
}

/**
 * Makes the handler of an endpoint that the engine calls in push mode.
 * @throws {ValidationError} when the config is wrong.
 * @example export const POST = serve({ functions: [processOrder], signingKey: process.env.IRONFLOW_SIGNING_KEY });
 */
export function serve(config: ServeConfig): ServeHandler {
  const endpoint = new Endpoint(config);
  return (async (first: unknown, second?: unknown) => {
    if (isFetchRequest(first)) return toFetch(await endpoint.answer(fromFetch(first)));
    if (isFetchContext(first)) return toFetch(await endpoint.answer(fromFetch(first.req.raw)));
    const response = second as NodeResponse; // Node's pair, by the signature
    toNode(await endpoint.answer(fromNode(first as NodeRequest, response)), response);
    return undefined;
  }) as ServeHandler; // one function for the three signatures
}

class Endpoint {
  readonly #functions: ReadonlyMap<string, IronflowFunction>;
  readonly #signingKeys: readonly string[];
  readonly #environment: string;
  readonly #serverUrl: string | undefined;
  readonly #queues = new Map<string, CheckpointQueue>();
  readonly #logger: Logger;
  readonly #eventDefinitions: EventDefinitionRegistry | undefined;

  constructor(config: ServeConfig) {
    this.#functions = functionsById(config.functions);
    const keys = config.signingKey ?? variable('IRONFLOW_SIGNING_KEY') ?? [];
    this.#signingKeys = config.skipVerification
      ? []
      : (typeof keys === 'string' ? [keys] : keys).filter((key) => key !== '');
    this.#environment = config.environment ?? variable('IRONFLOW_ENV') ?? 'default';
    this.#serverUrl = config.serverUrl;
    this.#logger = loggerFrom(config.logger);
    this.#eventDefinitions = config.eventDefinitions;
    config.eventDefinitions?.assertComplete();
  }

  async answer(request: ServeRequest): Promise<ServeResponse> {
    try {
      return this.#respond(200, await this.#execute(request));
    } catch (error) {
      if (!isIronflowError(error)) this.#logger.error('a push request failed unexpectedly', error);
      const known = isIronflowError(error)
        ? error
        : new IronflowError('The endpoint met an unexpected error; its log has it.', { code: 'INTERNAL_ERROR' });
      const { code, message } = known;
      const status = isErrorCode(code) ? errorCatalogue[code].status : 500;
      return this.#respond(status, JSON.stringify({ error: { message, code } }));
    }
  }

  #respond(status: number, body: string): ServeResponse {
    return {
      status,
      body,
      headers: { 'content-type': 'application/json', 'x-ironflow-environment': this.#environment },
    };
  }

  async #execute(request: ServeRequest): Promise<string> {
    if (request.method !== 'POST') {
      throw new IronflowError(`This is an Ironflow endpoint: the engine calls it with POST, not ${request.method}.`, {
        code: 'METHOD_NOT_ALLOWED',
      });
    }
    const body = await request.body();
    if (this.#signingKeys.length > 0)
      await verifySignature(body, request.header('x-ironflow-signature'), this.#signingKeys);
    const { functionId, assignment, checkpoint } = pushRequestFrom(parse(body));
    const fn = this.#functions.get(functionId);
    if (fn === undefined) throw new FunctionNotFoundError(functionId);

    const journal: PushJournal =
      checkpoint === undefined
        ? new ResponseJournal(this.#serverUrl ?? variable('IRONFLOW_SERVER_URL'), this.#headers())
        : new CheckpointJournal(this.#queueTo(checkpoint), systemTurns);
    const job = createJob({
      fn,
      assignment,
      journal,
      turns: systemTurns,
      logger: this.#logger,
      eventDefinitions: this.#eventDefinitions,
      retries: checkpoint === undefined ? 'run' : 'step',
    });
    request.onHangUp(() => job.execution.drop('the engine has hung up'));
    const outcome = await job.run();
    if (journal.response !== undefined) return journal.response;
    // The engine refused a step: the run is cancelled, or another invocation has it. It does not wait for this answer.
    return JSON.stringify({
      status: 'dropped',
      reason: outcome.status === 'dropped' ? outcome.reason : outcome.status,
    });
  }

  /** The queue of reports to this engine, shared by the requests that are open. */
  #queueTo({ url, workerId }: { readonly url: string; readonly workerId: string }): CheckpointQueue {
    const engine = (this.#serverUrl ?? url).replace(/\/+$/, '');
    const to = `${engine}/api/v1/workers/${encodeURIComponent(workerId)}/reports`;
    let queue = this.#queues.get(to);
    if (queue === undefined) {
      // Of engines that are gone nothing needs to stay.
      for (const [other, { isIdle }] of this.#queues) if (isIdle) this.#queues.delete(other);
      queue = new CheckpointQueue(to, () => this.#headers());
      this.#queues.set(to, queue);
    }
    return queue;
  }

  #headers(): Record<string, string> {
    const apiKey = variable('IRONFLOW_API_KEY');
    return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  }
}

function parse(body: string): unknown {
  assertJsonDepth(body, 'push request');
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new IronflowError('The push request is not JSON.', { code: 'INVALID_JSON', cause: error });
  }
}
