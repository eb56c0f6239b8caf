// What workers and endpoints ask of the engine, by whichever transport: jobs, leases that go on, and what became of a job.

import { IronflowError } from '@ironflow/core';
import type {
  Assignment,
  Capability,
  JobHandlers,
  Report,
  ReportAnswer,
  WorkerHello,
  WorkerLine,
} from '@ironflow/core/wire';
import type { CommandPorts } from '../commands/ports.ts';
import { report } from '../commands/report.ts';
import { contractWorker, ironflowWorker, type Reporter } from '../commands/reporter.ts';
import type { Dispatcher } from '../dispatch/index.ts';
import type { LineHandlers } from '../dispatch/line-channel.ts';
import type { PollAnswer } from '../dispatch/polling-channel.ts';
import type { Sessions } from '../dispatch/sessions.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import { type Refusal, refuseReport } from '../kernel/lease.ts';
import { parseJobId } from '../kernel/run.ts';
import type { Store } from '../store/port.ts';
import { runs } from '../store/tables.ts';
import type { StreamLine } from './stream-line.ts';

export interface WorkersOptions {
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly commands: CommandPorts;
  readonly dispatcher: Dispatcher;
  readonly sessions: Sessions;
  /** How long a poll is held when there is nothing to do, in milliseconds. */
  readonly pollMs: number;
  /** Whether the engine is not shutting down. */
  readonly isOpen: () => boolean;
}

/** How many executions a worker is taken to keep that has not said so to this engine. */
const executionsKeptDefault = 1_000;

/** What a worker says of itself now and then. */
export interface Heartbeat {
  /** Ids of the jobs that it holds; undefined where it does not say. */
  readonly held: readonly string[] | undefined;
  /** Its polls before this number were over when it spoke; undefined where it does not count them. */
  readonly poll?: number | undefined;
  /** Which of its heartbeats this is; undefined where it does not count them. */
  readonly beat?: number | undefined;
}

export class Workers {
  readonly #store: Store;
  readonly #commit: GroupCommit;
  readonly #commands: CommandPorts;
  readonly #dispatcher: Dispatcher;
  readonly #sessions: Sessions;
  readonly #pollMs: number;
  readonly #isOpen: () => boolean;

  constructor({ store, commit, commands, dispatcher, sessions, pollMs, isOpen }: WorkersOptions) {
    this.#store = store;
    this.#commit = commit;
    this.#commands = commands;
    this.#dispatcher = dispatcher;
    this.#sessions = sessions;
    this.#pollMs = pollMs;
    this.#isOpen = isOpen;
  }

  register(
    env: string,
    hello: WorkerHello,
  ): Promise<{ readonly leaseMs: number; readonly capabilities: readonly Capability[] }> {
    this.#assertOpen();
    return this.#sessions.registerPolling(env, hello);
  }

  /** Holds the poll until there is something for the worker, or its time is over. Undefined when it is not registered. */
  async poll(
    sessionId: string,
    poll: { readonly available: number; readonly draining: boolean; readonly number?: number | undefined },
    signal: AbortSignal,
  ): Promise<(PollAnswer & { readonly conversational: boolean }) | undefined> {
    this.#assertOpen();
    const session = await this.#sessions.polling(sessionId);
    if (session === undefined || !(await this.#sessions.heard(session))) return undefined;
    const { channel, conversational } = session;
    const answer = await channel.poll(
      { number: undefined, ...poll, wantsNews: conversational, waitMs: this.#pollMs },
      signal,
    );
    if (signal.aborted) this.#sessions.connectionLost(sessionId);
    return { ...answer, conversational };
  }

  /** The worker says good-bye: what it still holds goes to others at once. */
  async deregister(sessionId: string): Promise<void> {
    this.#assertOpen();
    if ((await this.#sessions.polling(sessionId)) !== undefined) await this.#sessions.end(sessionId);
  }

  /** A poll's answer did not reach the worker. */
  async undelivered(sessionId: string, answer: PollAnswer): Promise<void> {
    const session = await this.#sessions.polling(sessionId);
    session?.channel.undelivered(answer);
    this.#sessions.connectionLost(sessionId);
  }

  /**
   * Renews a worker's leases. What was leased to it a while ago and is not among the jobs it says it holds goes to others.
   * @returns the jobs it holds in vain, their leases being lost; undefined when the worker is not registered.
   */
  async heartbeat(sessionId: string, { held, poll, beat }: Heartbeat): Promise<readonly string[] | undefined> {
    this.#assertOpen();
    const session = await this.#sessions.polling(sessionId);
    if (session === undefined) return undefined;
    const heard = await this.#sessions.renew(sessionId, { beat });
    if (heard === 'unknown') return undefined;
    if (heard === 'overtaken') return this.#sessions.lostOf(sessionId, held ?? []);
    await this.#sessions.heard(session);
    return held === undefined ? [] : this.#sessions.reconcile(sessionId, new Set(held), poll, { beat });
  }

  /** Why the worker may not run this job; undefined when its lease stands. */
  async acknowledge(
    sessionId: string,
    jobId: string,
    fence: number | undefined,
    token: string,
  ): Promise<Refusal | undefined> {
    const job = parseJobId(jobId);
    const [run] = job === undefined ? [] : await this.#store.get(runs, [[job.runId]]);
    return refuseReport(run?.row ?? null, { sessionId, fence: fence ?? job?.fence ?? 0, token });
  }

  /** All of a job whose worker was offered a continuation, and does not keep the execution. Undefined when its lease is over. */
  async wholeJob(sessionId: string, jobId: string): Promise<Assignment | undefined> {
    const job = parseJobId(jobId);
    const [run] = job === undefined ? [] : await this.#store.get(runs, [[job.runId]]);
    if (job === undefined || run === null || run === undefined) return undefined;
    if (refuseReport(run.row, { sessionId, fence: job.fence, token: '' }) !== undefined) return undefined;
    return this.#dispatcher.whole(run.row);
  }

  /** Stores what a worker, or a push endpoint with its request open, says of a job. */
  async report(sessionId: string, job: Report): Promise<ReportAnswer> {
    this.#assertOpen();
    const session = this.#sessions.get(sessionId) ?? (await this.#sessions.polling(sessionId));
    if (session !== undefined) await this.#sessions.heard(session);
    // A push session is not among the connected ones; whoever knows its lease token speaks our form.
    const conversational = session?.conversational ?? sessionId.startsWith('push_');
    return this.reportAs(sessionId, job, conversational ? ironflowWorker : contractWorker);
  }

  async connect(env: string, hello: WorkerHello, handlers: JobHandlers): Promise<WorkerLine> {
    this.#assertOpen();
    const { channel, leaseMs } = await this.#sessions.registerInProcess(env, hello, handlers);
    return {
      leaseMs,
      renew: () => this.#sessions.renewInProcess(channel.sessionId),
      report: (job) => this.reportAs(channel.sessionId, job, ironflowWorker),
      whole: (jobId) => this.wholeJob(channel.sessionId, jobId),
      drain: () => channel.drain(),
      close: () => (this.#isOpen() ? this.#sessions.end(channel.sessionId) : Promise.resolve()),
    };
  }

  /**
   * Registers a worker that keeps a stream open.
   * @param handlers - Called with what is for it, from now on; `replaced` when this stream is not its line any more.
   */
  async connectStream(env: string, hello: WorkerHello, handlers: LineHandlers): Promise<StreamLine> {
    this.#assertOpen();
    const session = await this.#sessions.registerStreaming(env, hello, handlers);
    const { id, channel, leaseMs, conversational } = session;
    const reporter = conversational ? ironflowWorker : contractWorker;
    return {
      leaseMs,
      conversational,
      heard: () => this.#sessions.heard(session),
      present: async (jobIds, received) => {
        const word = { registeredAt: session.registeredAt };
        if ((await this.#sessions.renew(id, word)) !== 'renewed') return undefined;
        await this.#sessions.heard(session);
        return this.#sessions.reconcile(id, new Set(jobIds), received, word);
      },
      report: (job) => this.reportAs(id, job, reporter),
      returned: (jobId) => this.#sessions.releaseJob(jobId, id, { reason: 'returned' }),
      drain: () => channel.drain(),
      setFull: (isFull) => channel.setFull(isFull),
      leave: () => (this.#isOpen() ? this.#sessions.end(id) : Promise.resolve()),
      ended: () => this.#sessions.streamEnded(session),
    };
  }

  /** Stores what was said in this form. */
  async reportAs(sessionId: string, job: Report, reporter: Reporter): Promise<ReportAnswer> {
    const runId = parseJobId(job.jobId)?.runId;
    const answer = await this.#commit.run('report', runId, (tx) =>
      report(tx, { sessionId, report: job, reporter }, this.#commands),
    );
    if (job.kept && runId !== undefined && answer.status === 'accepted' && answer.ended) {
      const keeps = this.#sessions.get(sessionId)?.executionsKept ?? executionsKeptDefault;
      this.#dispatcher.kept(runId, { sessionId, fence: job.fence, seenWakes: job.seenWakes }, keeps);
    }
    return answer;
  }

  #assertOpen(): void {
    if (this.#isOpen()) return;
    throw new IronflowError('The engine is shutting down. Try again in a moment.', { code: 'UNAVAILABLE' });
  }
}
