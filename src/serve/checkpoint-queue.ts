// Checkpoint queue: carries the reports of all requests that an endpoint has open. One call is on its way at a time; all that comes up
// meanwhile goes together in the next, so that a lone report is not delayed and many cost few calls.
//   C1. A report that the engine refuses, or cannot read, does not touch the others in its call.
//   C2. Where a runtime ties a connection to the request that opened it, each report is a call of its own.

import { ConnectionError, IronflowError, limits } from '@ironflow/core';
import { answerFromJson, type ReportAnswer } from '@ironflow/core/wire';

interface Pending {
  /** The report as JSON. */
  readonly text: string;
  readonly resolve: (answer: ReportAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Characters in one call, beyond its first report. */
const CALL_LENGTH_MAX = 4 * 1024 * 1024;

export class CheckpointQueue {
  readonly #url: string;
  readonly #headers: () => Readonly<Record<string, string>>;
  #pending: Pending[] = [];
  #sending = false;

  constructor(url: string, headers: () => Readonly<Record<string, string>>) {
    this.#url = url;
    this.#headers = headers;
  }

  get isIdle(): boolean {
    return !this.#sending && this.#pending.length === 0;
  }

  /** @throws {IronflowError} what the engine answered; {ConnectionError}. Of both, `retryable` says whether to send it again. */
  send(text: string): Promise<ReportAnswer> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ text, resolve, reject });
      if (!sharesConnections) void this.#sendBatch(this.#pending.splice(0));
      else void this.#sendAll();
    });
  }

  async #sendAll(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    await Promise.resolve(); // what comes up in this turn goes along
    while (this.#pending.length > 0) await this.#sendBatch(this.#takeBatch());
    this.#sending = false;
  }

  #takeBatch(): Pending[] {
    let length = 0;
    let count = 0;
    for (const { text } of this.#pending) {
      length += text.length;
      if (count > 0 && (length > CALL_LENGTH_MAX || count === limits.reportsPerRequestMax)) break;
      count++;
    }
    return this.#pending.splice(0, count);
  }

  async #sendBatch(batch: readonly Pending[]): Promise<void> {
    try {
      const answers = await this.#post(batch);
      for (const [i, pending] of batch.entries()) settle(pending, answers[i]);
    } catch (error) {
      const isWhole = error instanceof IronflowError && !error.retryable;
      // One of them is at fault, and which is found by sending each alone.
      if (isWhole && batch.length > 1) for (const pending of batch) await this.#sendBatch([pending]);
      else for (const { reject } of batch) reject(error);
    }
  }

  async #post(batch: readonly Pending[]): Promise<readonly unknown[]> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: 'POST',
        headers: { ...this.#headers(), 'content-type': 'application/json' },
        body: `{"reports":[${batch.map((pending) => pending.text).join(',')}]}`,
      });
      text = await response.text();
    } catch (error) {
      throw new ConnectionError(`The engine could not be reached at ${this.#url} to store a step.`, { cause: error });
    }
    if (response.status !== 200) {
      throw new IronflowError(`The engine did not store a step: it answered ${response.status}.`, {
        code: 'UNKNOWN_ERROR',
        retryable: response.status >= 500,
        status: response.status,
      });
    }
    const { answers } = JSON.parse(text) as { answers?: unknown };
    if (!Array.isArray(answers) || answers.length !== batch.length)
      throw new IronflowError('The engine answered checkpoints in a form this endpoint does not know.');
    return answers;
  }
}

function settle({ resolve, reject }: Pending, answer: unknown): void {
  const { status, code, message, retryable } = answer as {
    readonly status?: string;
    readonly code?: string;
    readonly message?: string;
    readonly retryable?: boolean;
  };
  try {
    if (status !== 'error') {
      resolve(answerFromJson(answer));
      return;
    }
  } catch (error) {
    reject(error);
    return;
  }
  reject(
    new IronflowError(message ?? 'The engine did not take a step.', {
      ...(code !== undefined && { code }),
      retryable: retryable === true,
    }),
  );
}

/** Cloudflare's runtime lets no request wait for what another one began. */
const sharesConnections = globalThis.navigator?.userAgent !== 'Cloudflare-Workers';
