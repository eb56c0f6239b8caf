// A session that polls. Its jobs wait in an outbox for the next poll; a poll that finds nothing is held until something
// comes, so a job that becomes ready is handed over at once.
//
//   Q1. A poll of a worker that wants news gets all that waits for it: the engine counts its room (job-room.ts). One of a published
//       worker gets at most as many jobs as it says it has room for.
//   Q2. Between two polls the session is taken to be there: a worker polls again at once.
//   Q3. What is in the outbox and not fetched in time goes back: its worker has stopped polling.

import type { JobOffer, Resolution } from '@ironflow/core/wire';
import type { Clock, Timer } from '../ports/clock.ts';
import type { RegisteredChannel } from './channel.ts';
import { JobRoom } from './job-room.ts';

export interface Poll {
  /** Jobs the worker can take, as it counts. */
  readonly available: number;
  /** How long to hold the poll when there is nothing, in milliseconds. */
  readonly waitMs: number;
  /** Whether the worker understands news about jobs it holds, and keeps a job that comes as its last one ends. */
  readonly wantsNews: boolean;
  /** The worker takes no more jobs. */
  readonly draining: boolean;
  /** The worker's number for this poll; each is higher than those before. Undefined where the worker does not count. */
  readonly number: number | undefined;
}

export interface PollAnswer {
  readonly jobs: readonly JobOffer[];
  readonly resolutions: readonly { readonly jobId: string; readonly resolution: Resolution }[];
  readonly revoked: readonly { readonly jobId: string; readonly code: string; readonly message: string }[];
}

export interface PollingChannelOptions {
  readonly sessionId: string;
  readonly env: string;
  readonly functions: ReadonlyMap<string, number | null>;
  readonly conversational: boolean;
  readonly jobsMax: number;
  /** Jobs that are leased to the session from before. */
  readonly held: readonly string[];
  readonly clock: Clock;
  /** How long a job may wait in the outbox with no poll to fetch it, in milliseconds. */
  readonly fetchMs: number;
  readonly roomChanged: (channel: PollingChannel) => void;
  readonly giveBack: (offer: JobOffer) => void;
}

interface HeldPoll {
  readonly poll: Poll;
  readonly answer: (answer: PollAnswer) => void;
  readonly timer: Timer;
}

export class PollingChannel implements RegisteredChannel {
  readonly sessionId: string;
  readonly env: string;
  readonly functions: ReadonlyMap<string, number | null>;
  readonly conversational: boolean;
  readonly #room: JobRoom;
  /** The last poll. Undefined before the first, and when the next is overdue. */
  #last: Poll | undefined;
  /** What the last poll had room for, as its worker counts, less what it was sent. */
  #available = 0;
  /** Which poll carried a job to the worker. */
  readonly #carriedBy = new Map<string, number>();
  #firstPoll: number | undefined;
  readonly #options: PollingChannelOptions;
  #outbox: JobOffer[] = [];
  #resolutions: { jobId: string; resolution: Resolution }[] = [];
  #revoked: { jobId: string; code: string; message: string }[] = [];
  #held: HeldPoll | undefined;
  #answerScheduled = false;
  #fetchTimer: Timer | undefined;
  #closed = false;

  constructor(options: PollingChannelOptions) {
    this.#options = options;
    this.sessionId = options.sessionId;
    this.env = options.env;
    this.functions = options.functions;
    this.conversational = options.conversational;
    this.#room = new JobRoom(options.jobsMax, options.held);
  }

  get room(): number {
    if (this.#last === undefined || this.#last.draining) return 0;
    return this.#last.wantsNews ? this.#room.free : this.#available - this.#outbox.length - this.#room.reserved;
  }

  take(jobs: number): void {
    this.#room.take(jobs);
  }

  giveBack(jobs: number): void {
    this.#room.giveBack(jobs);
  }

  /** Answers with what there is for the session, or with what comes within `waitMs`. A newer poll ends an older one. */
  poll(poll: Poll, signal: AbortSignal): Promise<PollAnswer> {
    this.#answerHeld();
    this.#fetchTimer?.cancel();
    this.#fetchTimer = undefined;
    if (this.#closed || signal.aborted) return Promise.resolve(nothing);
    if (!poll.wantsNews) this.#forgetNews();
    if (poll.draining) this.#returnOutbox();
    this.#firstPoll ??= poll.number;
    this.#last = poll;
    this.#available = poll.available;
    const { promise, resolve } = Promise.withResolvers<PollAnswer>();
    const timer = this.#options.clock.setTimer(poll.waitMs, () => this.#answerHeld());
    this.#held = { poll, answer: resolve, timer };
    signal.addEventListener('abort', () => this.#abandon(resolve), { once: true });
    if (this.#hasSomethingFor(this.#held)) this.#answerSoon();
    this.#options.roomChanged(this);
    return promise;
  }

  /**
   * Whether the worker would say that it holds this job, if it did, in a call made when its polls before `poll` were over.
   * Jobs that an earlier engine handed over came with polls before the first one here.
   */
  isTold(jobId: string, poll: number | undefined): boolean {
    if (this.#outbox.some((offer) => offer.jobId === jobId)) return false;
    if (poll === undefined) return true;
    return (this.#carriedBy.get(jobId) ?? (this.#firstPoll ?? poll) - 1) < poll;
  }

  /** Takes back an answer that did not reach the worker. */
  undelivered({ jobs, resolutions, revoked }: PollAnswer): void {
    this.#outbox.unshift(...jobs);
    this.#resolutions.unshift(...resolutions);
    this.#revoked.unshift(...revoked);
    if (this.#held !== undefined) this.#answerSoon();
    else this.#expectFetch();
  }

  assign(offer: JobOffer): void {
    this.#room.assign(offer.jobId);
    this.#outbox.push(offer);
    if (this.#held !== undefined) this.#answerSoon();
    else this.#expectFetch();
  }

  resolve(jobId: string, resolution: Resolution): void {
    this.#resolutions.push({ jobId, resolution });
    if (this.#held?.poll.wantsNews) this.#answerSoon();
  }

  revoke(jobId: string, code: string, message: string): void {
    const waiting = this.#outbox.findIndex((offer) => offer.jobId === jobId);
    if (waiting >= 0) this.#outbox.splice(waiting, 1);
    else {
      this.#revoked.push({ jobId, code, message });
      if (this.#held?.poll.wantsNews) this.#answerSoon();
    }
    this.ended(jobId);
  }

  ended(jobId: string): void {
    this.#resolutions = this.#resolutions.filter((news) => news.jobId !== jobId);
    this.#outbox = this.#outbox.filter((offer) => offer.jobId !== jobId);
    this.#carriedBy.delete(jobId);
    this.#room.ended(jobId);
    this.#options.roomChanged(this);
  }

  /** Jobs the session is taken to hold. */
  heldJobs(): string[] {
    return this.#room.held();
  }

  close(): void {
    this.#closed = true;
    this.#fetchTimer?.cancel();
    this.#answerHeld();
  }

  /** Its worker has registered anew, and another channel serves it: what waits here goes back. */
  replaced(): void {
    this.#returnOutbox();
    this.close();
  }

  #hasSomethingFor({ poll }: HeldPoll): boolean {
    const hasJob = this.#outbox.length > 0 && this.#fits(poll) > 0;
    return hasJob || (poll.wantsNews && (this.#resolutions.length > 0 || this.#revoked.length > 0));
  }

  /** How many of the jobs that wait here the poll takes. */
  #fits(poll: Poll): number {
    return poll.wantsNews ? this.#outbox.length : poll.available;
  }

  /** Waits for the end of the turn, so that jobs which become ready together travel together. */
  #answerSoon(): void {
    if (this.#answerScheduled) return;
    this.#answerScheduled = true;
    this.#options.clock.soon(() => {
      this.#answerScheduled = false;
      if (this.#held !== undefined && this.#hasSomethingFor(this.#held)) this.#answerHeld();
    });
  }

  #answerHeld(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    held.timer.cancel();
    const jobs = this.#outbox.splice(0, this.#fits(held.poll));
    this.#available -= jobs.length;
    const { number } = held.poll;
    if (number !== undefined) for (const { jobId } of jobs) this.#carriedBy.set(jobId, number);
    const answer = { jobs, resolutions: this.#resolutions, revoked: this.#revoked };
    this.#forgetNews();
    held.answer(answer);
    if (this.#outbox.length > 0) this.#expectFetch();
  }

  #abandon(answer: (answer: PollAnswer) => void): void {
    if (this.#held?.answer !== answer) return;
    this.#held.timer.cancel();
    this.#held = undefined;
    this.#last = undefined;
    answer(nothing);
    if (this.#outbox.length > 0) this.#expectFetch();
  }

  #forgetNews(): void {
    this.#resolutions = [];
    this.#revoked = [];
  }

  #expectFetch(): void {
    this.#fetchTimer ??= this.#options.clock.setTimer(this.#options.fetchMs, () => {
      this.#fetchTimer = undefined;
      this.#last = undefined;
      this.#returnOutbox();
    });
  }

  #returnOutbox(): void {
    for (const offer of this.#outbox.splice(0)) this.#options.giveBack(offer);
  }
}

const nothing: PollAnswer = { jobs: [], resolutions: [], revoked: [] };
