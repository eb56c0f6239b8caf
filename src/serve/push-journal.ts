// Where an execution in a push request sends its reports.

import { ConnectionError, IronflowError } from '@ironflow/core';
import {
  answerFromJson,
  payloadValue,
  type Report,
  type ReportAnswer,
  reportToJson,
  type StepRecord,
} from '@ironflow/core/wire';
import { contractStep, yieldOf } from '../execution/contract-form.ts';
import type { Journal } from '../execution/index.ts';

const accepted: ReportAnswer = { status: 'accepted', ended: false, retries: [], resolutions: [] };
const ended: ReportAnswer = { ...accepted, ended: true };

/** A journal that ends as the body of the response. */
export interface PushJournal extends Journal {
  readonly response: string | undefined;
}

/** The contract's form: all steps, and how the execution ended, in the response. */
export class ResponseJournal implements PushJournal {
  response: string | undefined;
  readonly #records: StepRecord[] = [];

  async report({ records, waits, end }: Report): Promise<ReportAnswer> {
    this.#records.push(...records);
    if (end === undefined) return accepted;
    const steps = this.#records.map(contractStep);
    if (end.status === 'completed')
      this.response = JSON.stringify({ status: 'completed', steps, result: payloadValue(end.output) });
    else if (end.status === 'suspended')
      this.response = JSON.stringify({ status: 'yielded', steps, yield: yieldOf(waits) });
    else {
      const { message, code, retryable, stack } = end.error;
      this.response = JSON.stringify({ status: 'failed', steps, error: { message, code, retryable, stack } });
    }
    return ended;
  }
}

/** Tries of one checkpoint, and the pause after the first; the pause doubles. The engine may be restarting. */
const CHECKPOINT_TRIES = 6;
const CHECKPOINT_PAUSE_MS = 100;

/** Our engine's form: each step is stored before the next begins; the response carries what is left to say. */
export class CheckpointJournal implements PushJournal {
  response: string | undefined;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(
    checkpoint: { readonly url: string; readonly workerId: string },
    headers: Readonly<Record<string, string>>,
  ) {
    this.#url = `${checkpoint.url.replace(/\/+$/, '')}/api/v1/workers/${encodeURIComponent(checkpoint.workerId)}/reports`;
    this.#headers = headers;
  }

  async report(report: Report): Promise<ReportAnswer> {
    const { end } = report;
    if (end !== undefined && (end.status !== 'suspended' || report.records.length === 0)) {
      this.response = `{"report":${reportToJson(report)}}`;
      return ended;
    }
    for (let tries = 1; ; tries++) {
      try {
        return await this.#post(report);
      } catch (error) {
        const passing = error instanceof IronflowError && error.retryable;
        if (!passing || tries === CHECKPOINT_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, CHECKPOINT_PAUSE_MS * 2 ** (tries - 1)));
      }
    }
  }

  async #post(report: Report): Promise<ReportAnswer> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: 'POST',
        headers: { ...this.#headers, 'content-type': 'application/json' },
        body: `{"reports":[${reportToJson(report)}]}`,
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
    const [answer] = (JSON.parse(text) as { answers: unknown[] }).answers;
    const { status, code, message, retryable } = answer as {
      status: string;
      code?: string;
      message?: string;
      retryable?: boolean;
    };
    if (status !== 'error') return answerFromJson(answer);
    throw new IronflowError(message ?? 'The engine did not take a step.', {
      ...(code !== undefined && { code }),
      retryable: retryable === true,
    });
  }
}
