// Report queue: carries the reports of all jobs of a worker. One request is on its way at a time; all that comes up meanwhile
// goes together in the next, so that a lone report is not delayed and many cost few requests.
//   B1. A report is sent again until the engine has answered it. The engine takes a report that it knows for the same one.
//   B2. Reports of one job arrive in their order: a job has one on its way at most.

import { IronflowError, limits } from '@ironflow/core';
import { answerFromJson, type Report, type ReportAnswer, reportToJson } from '@ironflow/core/wire';
import type { Logger } from '../logger.ts';
import { jitter } from '../random.ts';
import { pause, type Turns } from '../turns.ts';
import { errorFrom, type Http } from './http.ts';

export interface ReportQueueOptions {
  readonly http: Http;
  readonly workerId: string;
  readonly turns: Turns;
  readonly logger: Logger;
  /** Longest pause between tries, in milliseconds. */
  readonly retryMsMax: number;
}

interface Pending {
  readonly text: string;
  readonly resolve: (answer: ReportAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Characters in one request, beyond its first report. */
const REQUEST_LENGTH_MAX = 4 * 1024 * 1024;
const RETRY_MS_FIRST = 50;

export class ReportQueue {
  readonly #options: ReportQueueOptions;
  readonly #closed = new AbortController();
  #pending: Pending[] = [];
  #scheduled = false;
  #sending = false;
  #failures = 0;

  constructor(options: ReportQueueOptions) {
    this.#options = options;
  }

  report(report: Report): Promise<ReportAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<ReportAnswer>();
    this.#pending.push({ text: reportToJson(report), resolve, reject });
    this.#schedule();
    return promise;
  }

  close(): void {
    this.#closed.abort(new Error('the worker has stopped'));
    for (const { reject } of this.#pending.splice(0))
      reject(new IronflowError('The worker has stopped.', { code: 'UNAVAILABLE' }));
  }

  #schedule(): void {
    if (this.#scheduled || this.#sending) return;
    this.#scheduled = true;
    this.#options.turns.soon(() => {
      this.#scheduled = false;
      void this.#send();
    });
  }

  async #send(): Promise<void> {
    if (this.#sending || this.#pending.length === 0 || this.#closed.signal.aborted) return;
    this.#sending = true;
    const batch = this.#takeBatch();
    try {
      const answers = await this.#post(batch);
      this.#failures = 0;
      for (const [i, pending] of batch.entries()) this.#settle(pending, answers[i]);
    } catch (error) {
      await this.#failed(batch, error);
    } finally {
      this.#sending = false;
      if (this.#pending.length > 0) this.#schedule();
    }
  }

  #takeBatch(): Pending[] {
    let length = 0;
    let count = 0;
    for (const { text } of this.#pending) {
      length += text.length;
      if (count > 0 && (length > REQUEST_LENGTH_MAX || count === limits.reportsPerRequestMax)) break;
      count++;
    }
    return this.#pending.splice(0, count);
  }

  async #post(batch: readonly Pending[]): Promise<readonly unknown[]> {
    const { http, workerId } = this.#options;
    const path = `/api/v1/workers/${encodeURIComponent(workerId)}/reports`;
    const answer = await http.call('POST', path, `{"reports":[${batch.map(({ text }) => text)}]}`, this.#closed.signal);
    if (answer.status !== 200) throw errorFrom(answer, 'Reporting to the engine');
    const { answers } = JSON.parse(answer.body) as { answers?: unknown };
    if (!Array.isArray(answers) || answers.length !== batch.length)
      throw new IronflowError('The engine answered reports in a form this worker does not know.');
    return answers;
  }

  #settle(pending: Pending, answer: unknown): void {
    const error = refusedSingly(answer);
    if (error === undefined) {
      try {
        pending.resolve(answerFromJson(answer));
      } catch (wrong) {
        pending.reject(wrong);
      }
    } else if (error.retryable) {
      this.#options.turns.after(jitter(RETRY_MS_FIRST * 4), () => {
        this.#pending.push(pending);
        this.#schedule();
      });
    } else pending.reject(error);
  }

  async #failed(batch: readonly Pending[], error: unknown): Promise<void> {
    const { logger, turns, retryMsMax } = this.#options;
    if (this.#closed.signal.aborted) {
      for (const { reject } of batch) reject(error);
      return;
    }
    if (error instanceof IronflowError && !error.retryable) {
      await this.#failSingly(batch, error);
      return;
    }
    const pauseMs = jitter(Math.min(RETRY_MS_FIRST * 2 ** this.#failures, retryMsMax));
    if (this.#failures++ === 0) {
      logger.warn(`the engine did not take ${batch.length} reports; they are sent again until it does`, error);
    }
    this.#pending.unshift(...batch);
    await pause(turns, pauseMs, this.#closed.signal);
  }

  /** The engine refused the request as a whole: the one report that it cannot take must not fail the others. */
  async #failSingly(batch: readonly Pending[], error: IronflowError): Promise<void> {
    const [only] = batch;
    if (batch.length === 1 && only !== undefined) {
      only.reject(error);
      return;
    }
    for (const pending of batch) {
      try {
        const [answer] = await this.#post([pending]);
        this.#settle(pending, answer);
      } catch (single) {
        if (single instanceof IronflowError && !single.retryable) pending.reject(single);
        else this.#pending.push(pending);
      }
    }
  }
}

/** What the engine said in place of an answer to one report, as an error; undefined where it said none. */
export function refusedSingly(answer: unknown): IronflowError | undefined {
  if (answer === null || typeof answer !== 'object' || !('status' in answer) || answer.status !== 'error')
    return undefined;
  const { code, message, retryable, details } = answer as Readonly<Record<string, unknown>>; // an object, as seen above
  return new IronflowError(String(message ?? 'The engine could not take a report.'), {
    code: String(code ?? 'UNKNOWN_ERROR'),
    retryable: retryable === true,
    ...(details !== null && typeof details === 'object' && { details: { ...details } }),
  });
}
