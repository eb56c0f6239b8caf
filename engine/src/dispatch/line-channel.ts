// A session whose line is open: its worker is in the engine's own process, or keeps a stream open. Jobs and news are handed over at
// once.
//
//   open ──drain()──► draining ──► closed
//     └──────────close()──────────►
//
//   I1. A closed line hands back what is assigned to it: the job never left the engine.

import type { JobHandlers, JobOffer, Resolution } from '@ironflow/core/wire';
import type { RegisteredChannel } from './channel.ts';
import { JobRoom } from './job-room.ts';

export interface LineHandlers extends JobHandlers {
  /** The line is given up by the engine: its worker has come by another one, or its session has been removed. */
  replaced(): void;
}

export interface LineChannelOptions {
  readonly sessionId: string;
  readonly env: string;
  readonly functions: ReadonlyMap<string, number | null>;
  readonly conversational: boolean;
  readonly jobsMax: number;
  /** Jobs that are leased to the session from before. */
  readonly held: readonly string[];
  readonly handlers: LineHandlers;
  readonly roomChanged: (channel: LineChannel) => void;
  readonly giveBack: (offer: JobOffer) => void;
}

export class LineChannel implements RegisteredChannel {
  readonly sessionId: string;
  readonly env: string;
  readonly functions: ReadonlyMap<string, number | null>;
  readonly conversational: boolean;
  readonly #room: JobRoom;
  readonly #options: LineChannelOptions;
  /** Which of the jobs sent on this line a job was, from 1. */
  readonly #sentAs = new Map<string, number>();
  #sent = 0;
  #takesJobs = true;
  #isFull = false;
  #closed = false;

  constructor(options: LineChannelOptions) {
    this.#options = options;
    this.sessionId = options.sessionId;
    this.env = options.env;
    this.functions = options.functions;
    this.conversational = options.conversational;
    this.#room = new JobRoom(options.jobsMax, options.held);
  }

  get room(): number {
    return this.#takesJobs && !this.#isFull ? this.#room.free : 0;
  }

  heldJobs(): string[] {
    return this.#room.held();
  }

  take(jobs: number): void {
    this.#room.take(jobs);
  }

  giveBack(jobs: number): void {
    this.#room.giveBack(jobs);
  }

  assign(offer: JobOffer): void {
    if (this.#closed) {
      this.#room.giveBack(1);
      this.#options.giveBack(offer);
      return;
    }
    this.#room.assign(offer.jobId);
    this.#sentAs.set(offer.jobId, ++this.#sent);
    this.#options.handlers.assigned(offer);
  }

  resolve(jobId: string, resolution: Resolution): void {
    if (!this.#closed) this.#options.handlers.resolved(jobId, resolution);
  }

  revoke(jobId: string, code: string, message: string): void {
    if (!this.#closed) this.#options.handlers.revoked(jobId, code, message);
    this.ended(jobId);
  }

  ended(jobId: string): void {
    this.#room.ended(jobId);
    this.#sentAs.delete(jobId);
    this.#options.roomChanged(this);
  }

  /** @param received - How many jobs had come by this line. Undefined where the worker does not count them. */
  isTold(jobId: string, received: number | undefined): boolean {
    return received === undefined || (this.#sentAs.get(jobId) ?? 0) <= received;
  }

  /** Whether the worker turned out to take nothing now, whatever this engine counts. */
  setFull(isFull: boolean): void {
    if (this.#isFull === isFull) return;
    this.#isFull = isFull;
    this.#options.roomChanged(this);
  }

  /** Takes no more jobs. */
  drain(): void {
    this.#takesJobs = false;
  }

  close(): void {
    this.#takesJobs = false;
    this.#closed = true;
  }

  replaced(): void {
    if (this.#closed) return;
    this.close();
    this.#options.handlers.replaced();
  }
}
