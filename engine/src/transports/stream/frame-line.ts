// Frames: the line between our worker and our engine. All that comes up in one turn travels in one frame, either way.

import { EngineFrameWriter, readWorkerFrame, type WorkerFrame } from '@ironflow/core/frames';
import { jobOfferToJson, type Report, type ReportAnswer, resolutionToJson } from '@ironflow/core/wire';
import type { LineHandlers, StreamLine } from '../../workers/stream-line.ts';
import { publicError } from '../exchange.ts';
import { moved, notRegistered } from './end-of-stream.ts';
import type { Line, LineOutlet } from './line.ts';

/** A frame that is longer is sent before more is put into it, in bytes. */
const FRAME_BYTES = 1024 * 1024;

export class FrameLine implements Line {
  readonly handlers: LineHandlers = {
    assigned: (offer) => this.#say((frame) => frame.job(jobOfferToJson(offer, true))),
    resolved: (jobId, resolution) => this.#say((frame) => frame.news(jobId, resolutionToJson(resolution))),
    revoked: (jobId, code, message) => this.#say((frame) => frame.revoked(jobId, code, message)),
    replaced: () => this.#outlet.end(moved()),
  };
  readonly #outlet: LineOutlet;
  readonly #frame = new EngineFrameWriter();
  #line: StreamLine | undefined;
  #flushScheduled = false;
  #closed = false;

  constructor(outlet: LineOutlet) {
    this.#outlet = outlet;
  }

  opened(line: StreamLine): void {
    this.#line = line;
    this.#flush();
  }

  closed(): void {
    this.#closed = true;
  }

  received(message: Uint8Array): void {
    const frame = readWorkerFrame(message);
    if (frame !== undefined && this.#line !== undefined) this.#take(frame, this.#line);
  }

  #take({ reports, presence, draining, returnedJobs, leaving }: WorkerFrame, line: StreamLine): void {
    if (draining) line.drain();
    for (const jobId of returnedJobs) this.#inBackground(line.returned(jobId));
    for (const { number, report, error } of reports) {
      if (report === undefined) this.#refuse(number, error);
      else this.#report(number, report, line);
    }
    if (leaving) {
      this.#inBackground(line.leave().then(() => this.#outlet.end(undefined)));
      return;
    }
    if (presence !== undefined) {
      const { jobIds, received, number } = presence;
      this.#inBackground(line.present(jobIds, received).then((lost) => this.#present(number, lost)));
    } else this.#inBackground(line.heard().then((isKnown) => isKnown || this.#outlet.end(notRegistered())));
  }

  #report(number: number, report: Report, line: StreamLine): void {
    line.report(report).then(
      (answer: ReportAnswer) => this.#say((frame) => frame.answer(number, answer)),
      (error: unknown) => this.#refuse(number, error),
    );
  }

  #refuse(number: number, error: unknown): void {
    const { engine, workerId } = this.#outlet;
    const { code, message, retryable, details } = publicError(error, engine.logger, { workerId });
    this.#say((frame) => frame.refusal(number, JSON.stringify({ status: 'error', code, message, retryable, details })));
  }

  #present(number: number, lost: readonly string[] | undefined): void {
    if (lost === undefined) {
      this.#outlet.end(notRegistered());
      return;
    }
    for (const jobId of lost) this.handlers.revoked(jobId, 'STALE_EXECUTION', 'its lease was lost');
    this.#say((frame) => frame.heard(number));
  }

  #say(put: (frame: EngineFrameWriter) => void): void {
    if (this.#closed) return;
    put(this.#frame);
    if (this.#line === undefined || this.#flushScheduled) return;
    if (this.#frame.length > FRAME_BYTES) {
      this.#flush();
      return;
    }
    this.#flushScheduled = true;
    this.#outlet.engine.clock.soon(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#closed && !this.#frame.isEmpty) this.#outlet.send(this.#frame.take());
  }

  #inBackground(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (this.#closed) return;
      const { engine, workerId } = this.#outlet;
      this.#outlet.end(publicError(error, engine.logger, { workerId }));
    });
  }
}
