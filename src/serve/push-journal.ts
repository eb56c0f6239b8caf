// Where an execution in a push request sends its reports.

import { IronflowError, NotConfiguredError } from '@ironflow/core';
import {
  type Payload,
  payloadValue,
  type Report,
  type ReportAnswer,
  reportToJson,
  type StepRecord,
} from '@ironflow/core/wire';
import { contractStep, PUBLISH_PATH, publishRequestOf, yieldOf } from '../execution/contract-form.ts';
import type { Journal } from '../execution/index.ts';
import type { Turns } from '../turns.ts';
import type { CheckpointQueue } from './checkpoint-queue.ts';

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
  readonly #serverUrl: string | undefined;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(serverUrl: string | undefined, headers: Readonly<Record<string, string>>) {
    this.#serverUrl = serverUrl;
    this.#headers = headers;
  }

  async publish(topic: string, data: Payload, idempotencyKey: string): Promise<unknown> {
    if (this.#serverUrl === undefined) {
      throw new NotConfiguredError(
        `A message for topic "${topic}" cannot be published: the address of the server is not known here. Set IRONFLOW_SERVER_URL, or serverUrl of serve().`,
      );
    }
    const response = await fetch(new URL(PUBLISH_PATH, this.#serverUrl), {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json' },
      body: publishRequestOf(topic, data, idempotencyKey),
    });
    const text = await response.text();
    if (response.status === 200) return JSON.parse(text);
    throw new IronflowError(
      `Publishing to "${topic}" failed: the server answered ${response.status}: ${text.slice(0, 200)}`,
      {
        retryable: response.status >= 500,
        status: response.status,
      },
    );
  }

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
  readonly #queue: CheckpointQueue;
  readonly #turns: Turns;

  constructor(queue: CheckpointQueue, turns: Turns) {
    this.#queue = queue;
    this.#turns = turns;
  }

  async report(report: Report): Promise<ReportAnswer> {
    const { end } = report;
    const text = reportToJson(report);
    if (end !== undefined && (end.status !== 'suspended' || report.records.length === 0)) {
      this.response = `{"report":${text}}`;
      return ended;
    }
    for (let tries = 1; ; tries++) {
      try {
        return await this.#queue.send(text);
      } catch (error) {
        const passing = error instanceof IronflowError && error.retryable;
        if (!passing || tries === CHECKPOINT_TRIES) throw error;
        await new Promise<void>((resolve) => this.#turns.after(CHECKPOINT_PAUSE_MS * 2 ** (tries - 1), resolve));
      }
    }
  }
}
