// Reports on their way by a stream.
//   B1. A report is sent again, by the next stream, until the engine has answered it. The engine takes a report that it knows for
//       the same one.
//   B2. Reports of one job arrive in their order: a job has one on its way at most.

import { IronflowError } from '@ironflow/core';
import type { NumberedAnswer } from '@ironflow/core/frames';
import type { Report, ReportAnswer } from '@ironflow/core/wire';
import { refusedSingly } from '../report-queue.ts';

interface Pending {
  readonly report: Report;
  readonly resolve: (answer: ReportAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class PendingReports {
  readonly #pending = new Map<number, Pending>();
  readonly #again: (send: () => void) => void;
  #number = 0;
  /** Puts a report into the next frame; undefined while no stream is open. */
  send: ((number: number, report: Report) => void) | undefined;

  /** @param again - Calls back a little later: the engine could not take a report just now. */
  constructor(again: (send: () => void) => void) {
    this.#again = again;
  }

  report(report: Report): Promise<ReportAnswer> {
    return new Promise((resolve, reject) => this.#add({ report, resolve, reject }));
  }

  answered({ number, answer, refusal }: NumberedAnswer): void {
    const pending = this.#pending.get(number);
    if (pending === undefined) return;
    this.#pending.delete(number);
    if (answer !== undefined) {
      pending.resolve(answer);
      return;
    }
    const error = refusedSingly(refusal) ?? new IronflowError('The engine could not take a report.');
    if (error.retryable) this.#again(() => this.#add(pending));
    else pending.reject(error);
  }

  /** A stream is open: what the one before left unanswered goes again. */
  sendAll(): void {
    for (const [number, { report }] of this.#pending) this.send?.(number, report);
  }

  close(): void {
    this.send = undefined;
    const error = new IronflowError('The worker has stopped.', { code: 'UNAVAILABLE' });
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  #add(pending: Pending): void {
    const number = ++this.#number;
    this.#pending.set(number, pending);
    this.send?.(number, pending.report);
  }
}
