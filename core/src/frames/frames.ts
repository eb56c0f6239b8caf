// Frames: all that one side of a stream had to say in one turn (proto/ironflow/v1/worker_service.proto, from WorkerFrame on).

import type { Report, ReportAnswer } from '../wire/job.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { ENVELOPE_BYTES } from './envelope.ts';
import {
  type NumberedAnswer,
  type NumberedReport,
  readAnswer,
  readReport,
  writeAnswer,
  writeRefusal,
  writeReport,
} from './reports.ts';

/** The field of WorkerMessage and of EngineMessage that holds a frame. */
const FRAME = 16;

export interface WorkerPresence {
  readonly number: number;
  /** Jobs the worker holds. */
  readonly jobIds: readonly string[];
  /** How many jobs have arrived on this stream. */
  readonly received: number;
}

/** Collects what is to be said, and puts it into one envelope. */
class FrameWriter {
  /** @internal */
  protected readonly to = new ByteWriter();
  #begun: { readonly length: number; readonly message: number } | undefined;

  get isEmpty(): boolean {
    return this.#begun === undefined;
  }

  /** Bytes so far. */
  get length(): number {
    return this.to.length;
  }

  /** The envelope, ready to be sent. */
  take(): Uint8Array {
    if (this.#begun === undefined) throw new TypeError('an empty frame is not sent');
    const { length, message } = this.#begun;
    this.to.end(message);
    this.to.fill32(length, this.to.length - ENVELOPE_BYTES);
    this.#begun = undefined;
    return this.to.take();
  }

  protected begin(): void {
    if (this.#begun !== undefined) return;
    this.to.byte(0);
    const length = this.to.hole32();
    this.#begun = { length, message: this.to.begin(FRAME) };
  }
}

export class WorkerFrameWriter extends FrameWriter {
  report(number: number, report: Report): void {
    this.begin();
    writeReport(this.to, 1, number, report);
  }

  presence({ number, jobIds, received }: WorkerPresence): void {
    this.begin();
    const begun = this.to.begin(2);
    for (const jobId of jobIds) this.to.item(1, jobId);
    this.to.uint(2, received);
    this.to.uint(3, number);
    this.to.end(begun);
  }

  draining(): void {
    this.begin();
    this.to.bool(3, true);
  }

  returned(jobId: string): void {
    this.begin();
    this.to.item(4, jobId);
  }

  leaving(): void {
    this.begin();
    this.to.bool(5, true);
  }
}

export interface WorkerFrame {
  readonly reports: readonly NumberedReport[];
  readonly presence: WorkerPresence | undefined;
  readonly draining: boolean;
  readonly returnedJobs: readonly string[];
  readonly leaving: boolean;
}

/** @throws {ValidationError} when the message is none of the form. */
export function readWorkerFrame(message: Uint8Array): WorkerFrame | undefined {
  const from = frameIn(message);
  if (from === undefined) return undefined;
  const reports: NumberedReport[] = [];
  const returnedJobs: string[] = [];
  let presence: WorkerPresence | undefined;
  let draining = false;
  let leaving = false;
  while (from.next()) {
    switch (from.field) {
      case 1:
        reports.push(readReport(from.message()));
        break;
      case 2:
        presence = readPresence(from.message());
        break;
      case 3:
        draining = from.bool();
        break;
      case 4:
        returnedJobs.push(from.text());
        break;
      case 5:
        leaving = from.bool();
    }
  }
  return { reports, presence, draining, returnedJobs, leaving };
}

function readPresence(from: ByteReader): WorkerPresence {
  const jobIds: string[] = [];
  let received = 0;
  let number = 0;
  while (from.next()) {
    if (from.field === 1) jobIds.push(from.text());
    else if (from.field === 2) received = from.uint();
    else if (from.field === 3) number = from.uint();
  }
  return { jobIds, received, number };
}

export class EngineFrameWriter extends FrameWriter {
  answer(number: number, answer: ReportAnswer): void {
    this.begin();
    writeAnswer(this.to, 1, number, answer);
  }

  /** @param said - See `writeRefusal`. */
  refusal(number: number, said: string): void {
    this.begin();
    writeRefusal(this.to, 1, number, said);
  }

  /** @param job - As JSON. */
  job(job: string): void {
    this.begin();
    this.to.item(2, job);
  }

  /** @param resolution - As JSON. */
  news(jobId: string, resolution: string): void {
    this.begin();
    const begun = this.to.begin(3);
    this.to.text(1, jobId);
    this.to.text(2, resolution);
    this.to.end(begun);
  }

  revoked(jobId: string, code: string, message: string): void {
    this.begin();
    const begun = this.to.begin(4);
    this.to.text(1, jobId);
    this.to.text(2, code);
    this.to.text(3, message);
    this.to.end(begun);
  }

  heard(presence: number): void {
    this.begin();
    this.to.uint(5, presence);
  }
}

export interface EngineFrame {
  readonly answers: readonly NumberedAnswer[];
  /** As JSON. */
  readonly jobs: readonly string[];
  readonly news: readonly { readonly jobId: string; readonly resolution: string }[];
  readonly revoked: readonly { readonly jobId: string; readonly code: string; readonly message: string }[];
  readonly heard: number | undefined;
}

/** @throws {ValidationError} when the message is none of the form. */
export function readEngineFrame(message: Uint8Array): EngineFrame | undefined {
  const from = frameIn(message);
  if (from === undefined) return undefined;
  const answers: NumberedAnswer[] = [];
  const jobs: string[] = [];
  const news: { jobId: string; resolution: string }[] = [];
  const revoked: { jobId: string; code: string; message: string }[] = [];
  let heard: number | undefined;
  while (from.next()) {
    switch (from.field) {
      case 1:
        answers.push(readAnswer(from.message()));
        break;
      case 2:
        jobs.push(from.text());
        break;
      case 3: {
        const [jobId, resolution] = readTexts(from.message());
        news.push({ jobId, resolution });
        break;
      }
      case 4: {
        const [jobId, code, message] = readTexts(from.message());
        revoked.push({ jobId, code, message });
        break;
      }
      case 5:
        heard = from.uint();
    }
  }
  return { answers, jobs, news, revoked, heard };
}

/** Fields 1 to 3, all text. */
function readTexts(from: ByteReader): [string, string, string] {
  const texts: [string, string, string] = ['', '', ''];
  while (from.next()) {
    if (from.field === 1 || from.field === 2 || from.field === 3) texts[from.field - 1] = from.text();
  }
  return texts;
}

function frameIn(message: Uint8Array): ByteReader | undefined {
  const from = new ByteReader(message);
  let frame: ByteReader | undefined;
  while (from.next()) if (from.field === FRAME) frame = from.message();
  return frame;
}
