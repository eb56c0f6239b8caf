// Dispatcher: brings runs that are ready and sessions with room together, on this engine.
//
// A run becomes ready inside a command. If a session with room is connected, the command reserves it and leases the run in
// the very commit that makes it ready; otherwise the run is queued in the store and claimed when some session has room.
//
//   D1. Room that is reserved is either used by a lease or given back: the transaction says which.
//   D2. A session is never sent more jobs than it said it has room for.
//   D3. No run stays queued while a session here has room for it: every change of either side looks at the other.
//   D4. A run goes to a session with its own version of the function while there is one, else to any that has the function.
//   D5. Of functions whose runs queue for the same session, the one that has waited longest is served first.
//   D6. A run whose execution a worker keeps in memory goes there, if it has room, and takes with it only what has happened since.

import type { Assignment, JobEvent, JobOffer, Resolution } from '@ironflow/core/wire';
import type { QueueName, Reservation } from '../commands/ports.ts';
import { type Reader, resolutionsSince } from '../commands/resolutions.ts';
import { jobIdOf } from '../kernel/run.ts';
import type { Clock } from '../ports/clock.ts';
import type { Ids } from '../ports/ids.ts';
import type { Logger } from '../ports/logger.ts';
import { loadAssignment } from '../queries/assignment.ts';
import type { Claim, Guard, Store, Stored } from '../store/port.ts';
import { type RunRow, runs } from '../store/tables.ts';
import type { WorkerChannel } from './channel.ts';
import { type KeptExecution, KeptExecutions } from './kept-executions.ts';

export type { WorkerChannel } from './channel.ts';

export interface DispatcherOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** The timeout of a function version, in milliseconds. */
  readonly timeoutMs: (queue: QueueName) => Promise<number>;
  /** The session's row, to check at the claim that it has not expired. Undefined when it has. */
  readonly sessionGuard: (sessionId: string) => Promise<Guard | undefined>;
  /** The secrets that a run's function declares; undefined when it declares none. */
  readonly secrets: (run: RunRow) => Promise<Assignment['secrets']> | undefined;
  /** Leases runs that wait in the store. Null when the session has expired, or its row changed this moment. */
  readonly claim: (claim: Omit<Claim<RunRow>, 'revision'>) => Promise<Stored<RunRow>[] | null>;
  /** Hands a lease back that could not be delivered. */
  readonly giveBack: (run: RunRow) => Promise<void>;
  /** A run is to be undone, and was leased to a worker whose contract cannot tell it so. */
  readonly cannotUndo: (run: RunRow) => Promise<void>;
}

interface FunctionQueue {
  readonly env: string;
  readonly functionId: string;
  readonly channels: WorkerChannel[];
  next: number;
  /** When it last took room for queued runs, counted in such turns. */
  servedAt: number;
  /** Versions that have, or may have, queued runs in the store. */
  readonly backlog: Set<number>;
  /** Whether `backlog` is known: false until the store has been asked. */
  known: boolean;
  claiming: boolean;
  /** Something changed while a claim was under way: look again. */
  again: boolean;
}

/** Pause after a failure, in milliseconds: the store may be away. */
const FAILURE_PAUSE_MS = 1_000;
/** Pause before runs are claimed again that a claim has passed over, in milliseconds: longer than most commits take. */
const PASSED_OVER_MS = 50;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #queues = new Map<string, FunctionQueue>();
  readonly #channels = new Map<string, WorkerChannel>();
  readonly #kept = new KeptExecutions();
  /** Jobs whose assignment is being read: news for them waits here, so that it follows the assignment. */
  readonly #assigning = new Map<string, { readonly news: Resolution[]; revoked: boolean }>();
  #turns = 0;
  #closed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  attach(channel: WorkerChannel): void {
    this.detach(channel.sessionId);
    this.#channels.set(channel.sessionId, channel);
    for (const functionId of channel.functions.keys()) this.#queue(channel.env, functionId).channels.push(channel);
    this.roomChanged(channel);
  }

  /** Forgets a session. Its leases stay until it reconnects or expires. */
  detach(sessionId: string): void {
    const channel = this.#channels.get(sessionId);
    if (channel === undefined) return;
    this.#channels.delete(sessionId);
    for (const functionId of channel.functions.keys()) {
      const queue = this.#queue(channel.env, functionId);
      queue.channels.splice(queue.channels.indexOf(channel), 1);
      this.#claim(queue); // by D4 others may now take what was this one's
    }
  }

  channel(sessionId: string): WorkerChannel | undefined {
    return this.#channels.get(sessionId);
  }

  /** A channel has room again: queued runs may have been waiting for it. */
  roomChanged(channel: WorkerChannel): void {
    if (channel.room <= 0) return;
    const queues = [...channel.functions.keys()]
      .map((functionId) => this.#queue(channel.env, functionId))
      .filter((queue) => !queue.known || queue.backlog.size > 0);
    if (queues.length > 1) queues.sort((a, b) => a.servedAt - b.servedAt);
    for (const queue of queues) this.#claim(queue);
  }

  reserve({ env, functionId, version }: QueueName, runId: string): Reservation | undefined {
    const queue = this.#queues.get(queueKey(env, functionId));
    // Runs that queue already go first.
    if (queue === undefined || !queue.known || queue.backlog.has(version)) return undefined;
    const keeper = this.#channels.get(this.#kept.sessionOf(runId) ?? '');
    const keeps = keeper !== undefined && keeper.room > 0 && keeper.functions.has(functionId);
    const channel = keeps ? keeper : this.#pick(queue, version);
    if (channel === undefined) return undefined;
    channel.take(1);
    return this.#reservationOn(channel);
  }

  leased(reservation: Reservation, run: RunRow, event: JobEvent | undefined): void {
    void this.#assign(reservation, run, event);
  }

  /** A worker has suspended a run, and keeps the execution, as one of so many at most. */
  kept(runId: string, kept: KeptExecution, keeps: number): void {
    this.#kept.note(runId, kept, keeps);
  }

  queued({ env, functionId, version }: QueueName): void {
    const queue = this.#queue(env, functionId);
    queue.backlog.add(version);
    this.#claim(queue);
  }

  /** Asks the store again for queued runs: some may have been queued without a word of it. */
  lookAgain(): void {
    for (const queue of this.#queues.values()) {
      queue.known = false;
      this.#claim(queue);
    }
  }

  // Each of these says whether the session is connected here.

  resolved(run: RunRow, resolution: Resolution): boolean {
    const jobId = jobIdOf(run.id, run.fence);
    const assigning = this.#assigning.get(jobId);
    const channel = this.#channels.get(run.leaseSession ?? '');
    if (assigning !== undefined) assigning.news.push(resolution);
    else channel?.resolve(jobId, resolution);
    return assigning !== undefined || channel !== undefined;
  }

  ended(sessionId: string, jobId: string): boolean {
    const channel = this.#channels.get(sessionId);
    channel?.ended(jobId);
    return channel !== undefined;
  }

  revoked(sessionId: string, jobId: string, code: string, message: string): boolean {
    const assigning = this.#assigning.get(jobId);
    const channel = this.#channels.get(sessionId);
    if (assigning !== undefined) assigning.revoked = true;
    else channel?.revoke(jobId, code, message);
    return assigning !== undefined || channel !== undefined;
  }

  /** Whether the assignment of a job is being read. */
  isHandingOver(jobId: string): boolean {
    return this.#assigning.has(jobId);
  }

  close(): void {
    this.#closed = true;
    for (const sessionId of [...this.#channels.keys()]) this.detach(sessionId);
  }

  /** For room that has been taken on a channel; given back at most once. */
  #reservationOn(channel: WorkerChannel): Reservation {
    let open = true;
    return {
      sessionId: channel.sessionId,
      release: () => {
        if (!open) return;
        open = false;
        this.#giveBack(channel, 1);
      },
    };
  }

  /** Room that was taken and is not used: runs of other functions may have been queued since, as there was none. */
  #giveBack(channel: WorkerChannel, jobs: number): void {
    channel.giveBack(jobs);
    this.roomChanged(channel);
  }

  async #assign(reservation: Reservation, run: RunRow, event: JobEvent | undefined): Promise<void> {
    const { sessionId } = reservation;
    const jobId = jobIdOf(run.id, run.fence);
    const assigning = { news: [] as Resolution[], revoked: false };
    this.#assigning.set(jobId, assigning);
    try {
      const offer = await this.#offer(sessionId, run, event);
      const channel = this.#channels.get(sessionId);
      if (channel === undefined) {
        reservation.release(); // its session may come back with the same channel
        if (!this.#closed) await this.#options.giveBack(run);
      } else if (assigning.revoked) reservation.release();
      else if (run.ending !== null && !channel.conversational) {
        reservation.release();
        await this.#options.cannotUndo(run);
      } else {
        channel.assign(offer);
        for (const resolution of assigning.news) channel.resolve(jobId, resolution);
      }
    } catch (error) {
      this.#options.logger.error('a job could not be handed over', { jobId, sessionId, error });
      reservation.release();
      this.#giveBackLater(run);
    } finally {
      this.#assigning.delete(jobId);
    }
  }

  /** Tried until it is done: nobody else knows that the worker did not get the job. */
  #giveBackLater(run: RunRow): void {
    const { clock, logger, giveBack } = this.#options;
    clock.setTimer(FAILURE_PAUSE_MS, () => {
      if (this.#closed) return;
      giveBack(run).catch((error) => {
        logger.error('a lease could not be handed back, and will be', { jobId: jobIdOf(run.id, run.fence), error });
        this.#giveBackLater(run);
      });
    });
  }

  /** All that a worker needs to execute a leased run from its history. */
  async whole(run: RunRow, event?: JobEvent): Promise<Assignment> {
    const told = this.#options.secrets(run);
    const secrets = told === undefined ? undefined : await told;
    const assignment = await loadAssignment(this.#options.store, run, event, this.#options.clock.now());
    return secrets === undefined ? assignment : { ...assignment, secrets };
  }

  async #offer(sessionId: string, run: RunRow, event: JobEvent | undefined): Promise<JobOffer> {
    const { store, clock } = this.#options;
    const kept = this.#kept.take(run.id, { sessionId, fence: run.fence });
    const now = clock.now();
    const stored: Reader = { scan: async (range) => (await store.scan(range)).map(({ row }) => row) };
    const resolutions = kept === undefined ? [] : await resolutionsSince(stored, run.id, kept.seenWakes);
    // With nothing new it would only rest where it is: what it missed, a replay finds. One to be undone begins that by a replay.
    if (resolutions.length === 0 || run.ending !== null) return this.whole(run, event);
    return {
      jobId: jobIdOf(run.id, run.fence),
      runId: run.id,
      functionId: run.functionId,
      fence: run.fence,
      leaseToken: run.leaseToken ?? '',
      timeLeftMs: (run.deadlineAt ?? now) - now,
      resolutions,
    };
  }

  #queue(env: string, functionId: string): FunctionQueue {
    const key = queueKey(env, functionId);
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      queue = {
        env,
        functionId,
        channels: [],
        next: 0,
        servedAt: 0,
        backlog: new Set(),
        known: false,
        claiming: false,
        again: false,
      };
      this.#queues.set(key, queue);
    }
    return queue;
  }

  /** A channel with room for this version, taking turns; one that has another version only when none has this one. */
  #pick(queue: FunctionQueue, version: number): WorkerChannel | undefined {
    const { channels, functionId } = queue;
    const hasVersion = channels.some((channel) => channel.functions.get(functionId) === version);
    for (let i = 0; i < channels.length; i++) {
      const channel = channels[(queue.next + i) % channels.length];
      if (channel === undefined || channel.room <= 0) continue;
      const has = channel.functions.get(functionId) ?? null;
      if (has !== null && has !== version && hasVersion) continue;
      queue.next = (queue.next + i + 1) % channels.length;
      return channel;
    }
    return undefined;
  }

  #claim(queue: FunctionQueue): void {
    if (this.#closed) return;
    if (queue.claiming) {
      queue.again = true;
      return;
    }
    if (queue.known && queue.backlog.size === 0) return;
    if (!queue.channels.some(({ room }) => room > 0)) return;
    queue.claiming = true;
    // A turn later, so that one claim, which is a commit of its own, serves all the room that the jobs of one commit leave.
    this.#options.clock.soon(() => void this.#claimWhileThereIsRoom(queue));
  }

  async #claimWhileThereIsRoom(queue: FunctionQueue): Promise<void> {
    const { logger, clock } = this.#options;
    try {
      while (!this.#closed) {
        queue.again = false;
        if (!queue.known) await this.#discoverBacklog(queue);
        for (const version of [...queue.backlog]) await this.#claimVersion(queue, version);
        if (!queue.again) break;
      }
      queue.claiming = false;
    } catch (error) {
      logger.error('queued runs could not be claimed', { functionId: queue.functionId, error });
      clock.setTimer(FAILURE_PAUSE_MS, () => {
        queue.claiming = false;
        this.#claim(queue);
      });
    }
  }

  /** Finds the versions that have queued runs, going from one to the next by the index. */
  async #discoverBacklog(queue: FunctionQueue): Promise<void> {
    const { env, functionId } = queue;
    const range = { table: runs, index: 'byReady', prefix: [env, functionId], limit: 1 };
    queue.known = true; // from here on every queued run is told of
    try {
      for (let after = 0; ; ) {
        const [first] = await this.#options.store.scan({ ...range, after: [after] });
        if (first === undefined) return;
        after = first.row.functionVersion;
        queue.backlog.add(after);
      }
    } catch (error) {
      queue.known = false;
      throw error;
    }
  }

  async #claimVersion(queue: FunctionQueue, version: number): Promise<void> {
    const { env, functionId } = queue;
    for (let channel = this.#pick(queue, version); channel !== undefined; channel = this.#pick(queue, version)) {
      const limit = channel.room;
      channel.take(limit);
      queue.servedAt = ++this.#turns;
      queue.backlog.delete(version); // a run queued from here on puts it back
      const claimed = await this.#claimFor(channel, { env, functionId, version }, limit).catch((error) => {
        queue.backlog.add(version);
        this.#giveBack(channel, limit);
        throw error;
      });
      if (claimed === 'refused') {
        // The session has expired, or its row changed this moment: look at the channels anew.
        queue.backlog.add(version);
        this.#giveBack(channel, limit);
        continue;
      }
      this.#giveBack(channel, limit - claimed.length);
      for (const run of claimed) void this.#assign(this.#reservationOn(channel), run, undefined);
      if (claimed.length < limit) {
        if (!this.#options.store.exclusive) void this.#lookForPassedOver(queue, version);
        return;
      }
      queue.backlog.add(version);
    }
  }

  /**
   * A claim passes over rows that are locked at that moment: by another engine's claim, or by a commit that has to do with a queued run
   * and leaves it queued. Nobody would tell of the latter.
   */
  async #lookForPassedOver({ env, functionId }: FunctionQueue, version: number): Promise<void> {
    const { store, clock } = this.#options;
    const range = { table: runs, index: 'byReady', prefix: [env, functionId, version], limit: 1 };
    const mayBeLeft = await store.scan(range).then(
      (left) => left.length > 0,
      () => true,
    );
    if (mayBeLeft && !this.#closed) clock.setTimer(PASSED_OVER_MS, () => this.queued({ env, functionId, version }));
  }

  async #claimFor(channel: WorkerChannel, queue: QueueName, limit: number): Promise<RunRow[] | 'refused'> {
    const { clock, ids, timeoutMs, claim, sessionGuard } = this.#options;
    const timeout = await timeoutMs(queue);
    const guard = await sessionGuard(channel.sessionId);
    if (guard === undefined) {
      this.detach(channel.sessionId);
      return 'refused';
    }
    const now = clock.now();
    const found = await claim({
      guards: [guard],
      table: runs,
      index: 'byReady',
      prefix: [queue.env, queue.functionId, queue.version],
      limit,
      set: {
        status: 'running',
        readyAt: null,
        leaseSession: channel.sessionId,
        leaseToken: ids.token(),
        leasedAt: now,
        deadlineAt: now + timeout,
        unseenWakes: 0,
        updatedAt: now,
      },
      fill: { startedAt: now },
      increment: ['fence'],
    });
    if (found === null) return 'refused';
    return found.map(({ row }) => row).sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

const queueKey = (env: string, functionId: string) => `${env} ${functionId}`;
