// The published contract's form of a job's reports, for engines that do not announce ours: steps go in `progress` reports, one
// wait is yielded at a time, a failed step is the run's affair.

import { type Payload, payloadValue, type Report, type ReportAnswer, type StepRecord } from '@ironflow/core/wire';
import { contractStep, PUBLISH_PATH, publishRequestOf, yieldOf } from '../execution/contract-form.ts';
import type { Journal } from '../execution/index.ts';
import { errorFrom, type HttpAnswer } from './http.ts';

export interface ContractJournalOptions {
  /** Sends one report on the job. */
  readonly put: (body: string) => Promise<HttpAnswer>;
  /** Calls the server itself. */
  readonly post: (path: string, body: string) => Promise<HttpAnswer>;
  readonly lease: { readonly execution_seq: number; readonly lease_token: string } | undefined;
  readonly sequence: number;
}

const accepted = (ended: boolean): ReportAnswer => ({ status: 'accepted', ended, retries: [], resolutions: [] });

export class ContractJournal implements Journal {
  readonly #options: ContractJournalOptions;
  #sent = 0;
  /** Steps that an engine without `progress` gets with the final report. */
  #kept: StepRecord[] = [];
  #takesProgress = true;

  constructor(options: ContractJournalOptions) {
    this.#options = options;
  }

  async report({ records, waits, end }: Report): Promise<ReportAnswer> {
    this.#kept.push(...records);
    if (end === undefined || end.status === 'suspended') {
      const refused = await this.#sendProgress();
      if (refused !== undefined) return refused;
    }
    if (end === undefined) return accepted(false);
    if (end.status === 'suspended') return this.#send({ status: 'yielded', yield: yieldOf(waits) });
    const steps = this.#kept.splice(0).map(contractStep);
    const tail = steps.length === 0 ? {} : { steps, step_offset: this.#options.sequence + this.#sent };
    if (end.status === 'completed')
      return this.#send({ status: 'completed', output: payloadValue(end.output), ...tail });
    const { message, code, retryable, stack } = end.error;
    return this.#send({ status: 'failed', error: { message, code, retryable, stack }, ...tail });
  }

  async publish(topic: string, data: Payload, idempotencyKey: string): Promise<unknown> {
    const answer = await this.#options.post(PUBLISH_PATH, publishRequestOf(topic, data, idempotencyKey));
    if (answer.status !== 200) throw errorFrom(answer, `Publishing to "${topic}"`);
    return JSON.parse(answer.body);
  }

  /** Sends what is kept, so that it is stored before the function goes on. */
  async #sendProgress(): Promise<ReportAnswer | undefined> {
    if (!this.#takesProgress || this.#kept.length === 0) return undefined;
    const steps = this.#kept.map(contractStep);
    const answer = await this.#put({ status: 'progress', steps, step_offset: this.#options.sequence + this.#sent });
    if (answer.status === 400) {
      this.#takesProgress = false; // releases that lack it get the steps at the end
      return undefined;
    }
    if (answer.status < 200 || answer.status > 299) return refusalOf(answer);
    this.#sent += steps.length;
    this.#kept = [];
    return undefined;
  }

  async #send(body: Readonly<Record<string, unknown>>): Promise<ReportAnswer> {
    const answer = await this.#put(body);
    return answer.status >= 200 && answer.status <= 299 ? accepted(true) : refusalOf(answer);
  }

  #put(body: Readonly<Record<string, unknown>>): Promise<HttpAnswer> {
    return this.#options.put(JSON.stringify({ ...body, ...this.#options.lease }));
  }
}

function refusalOf(answer: HttpAnswer): ReportAnswer {
  const { code, message } = errorFrom(answer, 'A report');
  return { status: 'refused', code, message };
}
