// Sessions: the workers connected to this engine, and what keeps their leases alive.
//   N1. A worker that reports, polls or sends a heartbeat is alive; one that is silent for its lease time loses its leases.
//   N2. A connection that breaks ends the leases sooner: the worker has `reconnectMs` to come back. The fence makes that safe.
//   N3. After a restart of the engine, sessions get time to report before they are judged by their silence.

import {
  type Capability,
  capabilities,
  type JobHandlers,
  type JobOffer,
  usableLease,
  type WorkerHello,
} from '@ironflow/core/wire';
import type { CommandPorts } from '../commands/ports.ts';
import { type LeaseEnd, releaseLease } from '../commands/release-lease.ts';
import { type Reader, resolutionsSince } from '../commands/resolutions.ts';
import {
  endSession,
  extendSession,
  heartbeat,
  registerSession,
  shortenSession,
  type Word,
} from '../commands/sessions.ts';
import { jobVanished } from '../commands/vanished-job.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import { jobIdOf, parseJobId } from '../kernel/run.ts';
import { isConversational } from '../kernel/worker-capabilities.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import { type RunRow, runs, type SessionRow, type SessionTransport, sessions } from '../store/tables.ts';
import type { RegisteredChannel, WorkerChannel } from './channel.ts';
import type { Dispatcher } from './index.ts';
import { LineChannel, type LineHandlers } from './line-channel.ts';
import { PollingChannel } from './polling-channel.ts';

export interface SessionSettings {
  readonly leaseMs: number;
  readonly contractLeaseMs: number;
  readonly reconnectMs: number;
}

export interface SessionsOptions {
  readonly engineId: string;
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly commands: CommandPorts;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A polling session is served here from now on. */
  readonly takenUp: (sessionId: string) => void;
  /** A session said good-bye to this engine. */
  readonly left: (sessionId: string) => void;
  readonly settings: SessionSettings;
}

/** How long sessions get to report after a restart of the engine, in milliseconds. */
const RESTART_GRACE_MS = 10_000;
/** A job leased this long ago that is not in the heartbeat of a published worker never reached it or got lost there, in milliseconds. */
const CONTRACT_UNHELD_AFTER_MS = 10_000;
/** How many sessions that said good-bye are remembered until their end is logged, which is soon. */
const LEFT_MAX = 1_000;
/** Pause before the end of a session is stored again, in milliseconds: the store may be away. */
const END_AGAIN_MS = 1_000;
const LOST = 'The lease of this job has ended.';
/** The lease of a session that cannot outlive this process, where no other process would notice: practically for ever. */
const OWN_LEASE_MS = 366 * 86_400_000;

export interface ConnectedSession {
  readonly id: string;
  readonly transport: SessionTransport;
  readonly channel: RegisteredChannel;
  /** Whether the worker speaks all of our extensions. */
  readonly conversational: boolean;
  readonly leaseMs: number;
  readonly registeredAt: number;
  /** How many executions its worker keeps in memory; undefined where it has not said so here. */
  executionsKept: number | undefined;
  /** When its leases were last renewed in the store. */
  renewedAt: number;
  graceTimer: Timer | undefined;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #connected = new Map<string, ConnectedSession>();
  readonly #connecting = new Map<string, Promise<ConnectedSession>>();
  /** Sessions that live inside this process, as they registered. */
  readonly #own = new Map<
    string,
    { readonly env: string; readonly hello: WorkerHello; readonly transport: SessionTransport }
  >();
  /** How many wakes each job's run had when its worker was last told of all. */
  readonly #told = new Map<string, number>();
  /** Sessions that said good-bye, here or to another engine, in that order. */
  readonly #left = new Set<string>();
  readonly #renewals = new Map<string, Timer>();
  #closed = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Takes over what earlier engines left: gives their workers time to report, and ends sessions that died with an engine. */
  async start(): Promise<void> {
    const { store, commit, commands, clock, engineId } = this.#options;
    const now = clock.now();
    const known = await store.scan({ table: sessions, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of known) {
      const sessionId = row.id;
      if (row.engineId === null) {
        const at = now + RESTART_GRACE_MS;
        await commit.run('extendSession', undefined, (tx) => extendSession(tx, { sessionId, at }, commands));
      } else if (store.exclusive && row.engineId !== engineId) {
        await commit.run('endSession', undefined, (tx) => endSession(tx, sessionId, commands));
      }
    }
  }

  /** Ends what lives inside an engine process that is gone: its runs go to others at once. */
  async giveUpEngine(engineId: string): Promise<void> {
    const { store, commit, commands } = this.#options;
    const known = await store.scan({ table: sessions, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of known) {
      if (row.engineId !== engineId) continue;
      if (engineId === this.#options.engineId) this.#sayLeft(row.id);
      await commit.run('endSession', undefined, (tx) => endSession(tx, row.id, commands));
    }
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#renewals.values()) timer.cancel();
    for (const { channel, graceTimer } of this.#connected.values()) {
      graceTimer?.cancel();
      channel.close();
    }
  }

  get(sessionId: string): ConnectedSession | undefined {
    return this.#connected.get(sessionId);
  }

  /** Registers a worker that polls, or takes it up again. */
  async registerPolling(
    env: string,
    hello: WorkerHello,
  ): Promise<{ readonly leaseMs: number; readonly capabilities: readonly Capability[] }> {
    const row = await this.#register(env, hello, 'polling');
    this.#logRegistered(row, hello);
    const connected = await this.#connectPolling(row);
    connected.executionsKept = hello.executionsKept;
    return { leaseMs: row.leaseMs, capabilities: capabilities.filter((name) => hello.capabilities.includes(name)) };
  }

  async registerInProcess(
    env: string,
    hello: WorkerHello,
    handlers: JobHandlers,
  ): Promise<{ readonly channel: LineChannel; readonly leaseMs: number }> {
    const row = await this.#register(env, hello, 'in-process');
    const channel = this.#lineOf(row, [], { ...handlers, replaced: () => {} });
    this.#connect(row, channel).executionsKept = hello.executionsKept;
    this.#options.dispatcher.attach(channel);
    return { channel, leaseMs: row.leaseMs };
  }

  /** Registers a worker that has opened a stream here, or has opened another one. */
  async registerStreaming(env: string, hello: WorkerHello, handlers: LineHandlers): Promise<StreamingSession> {
    const row = await this.#register(env, hello, 'streaming');
    this.#logRegistered(row, hello);
    const connected = await this.#inTurn(row.id, () => this.#connectLine(row, handlers));
    connected.executionsKept = hello.executionsKept;
    return connected;
  }

  /** A stream has ended. Its worker is gone, or will be back at once. */
  streamEnded({ id, channel }: ConnectedSession): void {
    channel.close();
    if (this.#connected.get(id)?.channel === channel) this.connectionLost(id);
  }

  /** Renews the leases of a worker in this process; what it lost before has been revoked when it resolves. */
  async renewInProcess(sessionId: string): Promise<boolean> {
    const { store, dispatcher } = this.#options;
    const connected = this.#connected.get(sessionId);
    if (connected === undefined || this.#closed) return false;
    await this.#renewOwn(sessionId);
    if (!store.exclusive) await this.#revokeLost(sessionId, connected.channel);
    if (dispatcher.channel(sessionId) !== connected.channel) dispatcher.attach(connected.channel);
    return true;
  }

  /** Stores a session for a channel that belongs to this engine (push endpoints). */
  async registerOwn(env: string, hello: WorkerHello): Promise<void> {
    await this.#register(env, hello, 'push');
  }

  /** Ends a session of this process; what is leased to it goes to others. */
  async end(sessionId: string): Promise<void> {
    const { dispatcher, commit, commands, logger } = this.#options;
    this.#renewals.get(sessionId)?.cancel();
    this.#renewals.delete(sessionId);
    dispatcher.detach(sessionId);
    this.#connected.get(sessionId)?.channel.close();
    this.#connected.delete(sessionId);
    this.#own.delete(sessionId);
    this.#sayLeft(sessionId);
    logger.info('worker has left', { workerId: sessionId });
    await commit
      .run('endSession', undefined, (tx) => endSession(tx, sessionId, commands))
      .catch((error) => {
        this.#endLater(sessionId);
        throw error;
      });
  }

  /** Tried until it is done: a worker of this process that has left falls silent for nobody. */
  #endLater(sessionId: string): void {
    const { clock, commit, commands, logger } = this.#options;
    clock.setTimer(END_AGAIN_MS, () => {
      if (this.#closed || this.#connected.has(sessionId) || this.#own.has(sessionId)) return;
      commit
        .run('endSession', undefined, (tx) => endSession(tx, sessionId, commands))
        .catch((error) => {
          logger.warn('the end of a session could not be stored yet', { workerId: sessionId, error });
          this.#endLater(sessionId);
        });
    });
  }

  /** The polling session of this id, taken up from the store when an earlier engine registered it. */
  async polling(sessionId: string): Promise<PollingSession | undefined> {
    await this.#connecting.get(sessionId);
    const connected = this.#connected.get(sessionId);
    if (connected !== undefined) return isPolling(connected) ? connected : undefined;
    const [found] = await this.#options.store.get(sessions, [[sessionId]]);
    if (found === null || found === undefined || found.row.transport !== 'polling') return undefined;
    if (found.row.expired && (await this.renew(sessionId)) === 'unknown') return undefined;
    return this.#connectPolling(found.row);
  }

  /**
   * The worker gave a sign of life. Its leases are renewed in the store now and then, not at every sign.
   * @returns false when the session has been removed: its worker must register anew.
   */
  async heard(connected: ConnectedSession): Promise<boolean> {
    connected.graceTimer?.cancel();
    connected.graceTimer = undefined;
    const { clock, dispatcher } = this.#options;
    // A session that was given up comes back: first it is alive again in the store, then it is given jobs.
    const isAttached = dispatcher.channel(connected.id) === connected.channel;
    const isDue = !isAttached || clock.now() - connected.renewedAt >= connected.leaseMs / 3;
    if (isDue && (await this.renew(connected.id)) === 'unknown') return false;
    if (!isAttached && this.#connected.get(connected.id) === connected) dispatcher.attach(connected.channel);
    return true;
  }

  /** Renews the leases of a session, unless its worker has been heard with a later word. */
  async renew(sessionId: string, word: Word = {}): Promise<'renewed' | 'overtaken' | 'unknown'> {
    const { commit, commands, clock } = this.#options;
    const connected = this.#connected.get(sessionId);
    if (connected !== undefined) connected.renewedAt = clock.now();
    const heard = await commit.run('heartbeat', `session ${sessionId}`, (tx) =>
      heartbeat(tx, sessionId, word, commands),
    );
    if (heard === 'unknown') this.movedElsewhere(sessionId);
    return heard;
  }

  /** Whether a session that has come to its end said good-bye before. */
  hasLeft(sessionId: string): boolean {
    return this.#left.has(sessionId);
  }

  noteLeft(sessionId: string): void {
    this.#left.add(sessionId);
    const [oldest] = this.#left;
    if (this.#left.size > LEFT_MAX && oldest !== undefined) this.#left.delete(oldest);
  }

  #sayLeft(sessionId: string): void {
    this.noteLeft(sessionId);
    this.#options.left(sessionId);
  }

  /** A connection that the worker keeps open broke: it is gone, or will be back at once. */
  connectionLost(sessionId: string): void {
    const connected = this.#connected.get(sessionId);
    if (connected === undefined || !connected.conversational || this.#closed) return;
    const { clock, commit, commands, settings, logger } = this.#options;
    connected.graceTimer?.cancel();
    const lostAt = clock.now();
    connected.graceTimer = clock.setTimer(settings.reconnectMs, () => {
      connected.graceTimer = undefined;
      commit
        .run('shortenSession', undefined, (tx) => shortenSession(tx, { sessionId, at: clock.now(), lostAt }, commands))
        .catch((error) =>
          logger.error('a lost worker could not be given up; its leases will expire', { sessionId, error }),
        );
    });
  }

  /**
   * Compares what a worker says it holds with what is leased to it. What it does not hold, and would if it had arrived, goes
   * to others; returned are the jobs that it holds in vain.
   * @param mark - How far the worker had come when it said so (`WorkerChannel.isTold`).
   * @param word - Which of its words that was. The session has been renewed by it.
   */
  async reconcile(
    sessionId: string,
    held: ReadonlySet<string>,
    mark: number | undefined,
    word: Word,
  ): Promise<string[]> {
    const { clock, commit, commands } = this.#options;
    const connected = this.#connected.get(sessionId);
    const channel = connected?.channel;
    const counted = channel?.heldJobs() ?? [];
    const leased = new Map((await this.#leased(sessionId)).map((row) => [jobIdOf(row.id, row.fence), row]));
    // A lease that was read as this engine took the session up may have ended in between.
    for (const jobId of counted) if (!leased.has(jobId)) channel?.ended(jobId);
    // Were this word very late, and none had come since, the worker would not rely on its leases any more.
    const unheldAfterMs = connected?.conversational ? connected.leaseMs * usableLease : CONTRACT_UNHELD_AFTER_MS;
    const before = clock.now() - unheldAfterMs;
    const unheld = [...leased].filter(([jobId, { leasedAt }]) => {
      return !held.has(jobId) && (leasedAt ?? 0) < before && channel?.isTold(jobId, mark) !== false;
    });
    const isSilent = connected !== undefined && connected.transport === 'streaming' && !connected.conversational;
    await Promise.all(
      unheld.map(([jobId, { id: runId, fence }]) =>
        isSilent
          ? commit.run('jobVanished', runId, (tx) => jobVanished(tx, { runId, sessionId, fence }, commands))
          : this.releaseJob(jobId, sessionId, { reason: 'lost', word }),
      ),
    );
    return [...held].filter((jobId) => !leased.has(jobId));
  }

  /** Which of these jobs are not leased to a session. */
  async lostOf(sessionId: string, jobIds: readonly string[]): Promise<string[]> {
    const leased = new Set((await this.#leased(sessionId)).map(({ id, fence }) => jobIdOf(id, fence)));
    return jobIds.filter((jobId) => !leased.has(jobId));
  }

  /** A wait of a run was met by another engine: tells the session that holds the run, if it is connected here. */
  async resolvedElsewhere(sessionId: string, runId: string): Promise<void> {
    if (this.#options.dispatcher.channel(sessionId) === undefined) return;
    const [run] = await this.#options.store.get(runs, [[runId]]);
    if (run?.row.leaseSession === sessionId) await this.#tellUnseen(run.row);
  }

  /** This engine serves the session no longer: another one does, or it has been removed. */
  movedElsewhere(sessionId: string): void {
    const connected = this.#connected.get(sessionId);
    if (connected === undefined || connected.transport === 'in-process') return;
    connected.graceTimer?.cancel();
    this.#connected.delete(sessionId);
    this.#options.dispatcher.detach(sessionId);
    connected.channel.replaced();
  }

  /** Looks at what the sessions here hold: for what other engines did to it without a word that came through. */
  async lookAgain(): Promise<void> {
    const told = new Map(this.#told);
    this.#told.clear();
    const connected = [...this.#connected.keys()];
    const rows = await this.#options.store.get(
      sessions,
      connected.map((id) => [id]),
    );
    for (const [i, id] of connected.entries()) {
      // Expired by another engine. As long as it were attached here, its versions would be kept waiting for it.
      if (rows[i]?.row.expired !== false) this.#options.dispatcher.detach(id);
      const channel = this.#options.dispatcher.channel(id);
      if (channel === undefined) continue;
      for (const run of await this.#revokeLost(id, channel)) {
        const jobId = jobIdOf(run.id, run.fence);
        this.#told.set(jobId, run.wakes);
        if (told.get(jobId) !== run.wakes) await this.#tellUnseen(run);
      }
    }
  }

  /**
   * Gives back what is leased to the sessions of this process and was never handed over: no heartbeat of theirs would show it.
   * @param leasedBefore - Leases up to this time; a younger one may be about to be handed over.
   */
  async giveBackUnheld(leasedBefore: number): Promise<void> {
    const { dispatcher } = this.#options;
    for (const sessionId of [...this.#own.keys()]) {
      const leased = await this.#leased(sessionId);
      const held = new Set(dispatcher.channel(sessionId)?.heldJobs());
      const unheld = leased
        .filter(({ leasedAt }) => (leasedAt ?? 0) <= leasedBefore)
        .map(({ id, fence }) => jobIdOf(id, fence))
        .filter((jobId) => !held.has(jobId) && !dispatcher.isHandingOver(jobId));
      await Promise.all(unheld.map((jobId) => this.releaseJob(jobId, sessionId, { reason: 'returned' })));
    }
  }

  /** Revokes what a session is taken to hold and is not leased to it. @returns what is. */
  async #revokeLost(sessionId: string, channel: WorkerChannel): Promise<RunRow[]> {
    const counted = channel.heldJobs();
    const leased = await this.#leased(sessionId);
    const jobIds = new Set(leased.map(({ id: runId, fence }) => jobIdOf(runId, fence)));
    for (const jobId of counted) if (!jobIds.has(jobId)) channel.revoke(jobId, 'STALE_EXECUTION', LOST);
    return leased;
  }

  /** Tells of the wakes that came since the run was leased, or since its worker last asked. */
  async #tellUnseen(run: RunRow): Promise<void> {
    if (run.unseenWakes === 0) return;
    const stored: Reader = {
      scan: async (range) => (await this.#options.store.scan(range)).map(({ row }) => row),
    };
    const news = await resolutionsSince(stored, run.id, run.wakes - run.unseenWakes);
    for (const resolution of news) this.#options.dispatcher.resolved(run, resolution);
  }

  async releaseJob(jobId: string, sessionId: string, end: LeaseEnd): Promise<void> {
    const job = parseJobId(jobId);
    if (job !== undefined) await this.release(job.runId, job.fence, sessionId, end);
  }

  release(runId: string, fence: number, sessionId: string, end: LeaseEnd): Promise<void> {
    const { commit, commands } = this.#options;
    return commit.run('releaseLease', runId, (tx) => releaseLease(tx, { runId, sessionId, fence, end }, commands));
  }

  #logRegistered({ id, env, transport, jobsMax, leaseMs }: SessionRow, { hostname, functionIds }: WorkerHello): void {
    const fields = { workerId: id, env, hostname, transport, functions: functionIds.length, jobsMax, leaseMs };
    this.#options.logger.info('worker registered', fields);
  }

  async #register(env: string, hello: WorkerHello, transport: SessionTransport): Promise<SessionRow> {
    const { commit, commands, engineId, store } = this.#options;
    const own = transport === 'push' || transport === 'in-process';
    const leaseMs = own && store.exclusive ? OWN_LEASE_MS : this.#leaseMs(hello, transport);
    const input = { env, hello, transport, engineId: own ? engineId : null, leaseMs };
    this.#left.delete(hello.workerId);
    const row = await commit.run('registerSession', `session ${hello.workerId}`, (tx) =>
      registerSession(tx, input, commands),
    );
    if (own) this.#own.set(row.id, { env, hello, transport });
    if (transport === 'push') this.#keepRenewing(row);
    return row;
  }

  /** Our workers send heartbeats as often as they are told; those of the published SDK every 30 seconds. */
  #leaseMs(hello: WorkerHello, transport: SessionTransport): number {
    const { leaseMs, contractLeaseMs } = this.#options.settings;
    return isConversational(transport, hello.capabilities) ? leaseMs : contractLeaseMs;
  }

  /** Renews a session of this process; others that took it for dead may have removed it. */
  async #renewOwn(sessionId: string): Promise<void> {
    const own = this.#own.get(sessionId);
    if ((await this.renew(sessionId)) === 'unknown' && own !== undefined && !this.#closed)
      await this.#register(own.env, own.hello, own.transport);
  }

  #keepRenewing(row: SessionRow): void {
    const { clock, logger } = this.#options;
    this.#renewals.get(row.id)?.cancel();
    this.#renewals.set(
      row.id,
      clock.setTimer(row.leaseMs / 3, () => {
        if (this.#closed) return;
        this.#keepRenewing(row);
        this.#renewOwn(row.id).catch((error) =>
          logger.error('leases could not be renewed', { sessionId: row.id, error }),
        );
      }),
    );
  }

  async #leased(sessionId: string): Promise<RunRow[]> {
    const range = { table: runs, index: 'bySession', prefix: [sessionId], limit: Number.MAX_SAFE_INTEGER };
    return (await this.#options.store.scan(range)).map(({ row }) => row);
  }

  #connectPolling(row: SessionRow): Promise<PollingSession> {
    return this.#inTurn(row.id, () => this.#makePolling(row));
  }

  /** Calls for one session take their turns: the last one stays connected. */
  #inTurn<S extends ConnectedSession>(sessionId: string, connect: () => Promise<S>): Promise<S> {
    const before = this.#connecting.get(sessionId) ?? Promise.resolve();
    const connecting = before
      .catch(() => {})
      .then(connect)
      .finally(() => {
        if (this.#connecting.get(sessionId) === connecting) this.#connecting.delete(sessionId);
      });
    this.#connecting.set(sessionId, connecting);
    return connecting;
  }

  async #connectLine(row: SessionRow, handlers: LineHandlers): Promise<StreamingSession> {
    const leased = await this.#leased(row.id);
    this.#connected.get(row.id)?.channel.replaced();
    const held = leased.map(({ id, fence }) => jobIdOf(id, fence));
    const channel = this.#lineOf(row, held, handlers);
    return this.#takeUp(row, channel, leased);
  }

  #lineOf(row: SessionRow, held: readonly string[], handlers: LineHandlers): LineChannel {
    return new LineChannel({
      sessionId: row.id,
      env: row.env,
      functions: functionsOf(row),
      conversational: isConversational(row.transport, JSON.parse(row.capabilities) as string[]),
      jobsMax: row.jobsMax,
      held,
      handlers,
      roomChanged: (changed) => this.#options.dispatcher.roomChanged(changed),
      giveBack: (offer) => this.#giveBack(row.id, offer),
    });
  }

  async #makePolling(row: SessionRow): Promise<PollingSession> {
    const { clock, dispatcher } = this.#options;
    const leased = await this.#leased(row.id);
    this.#connected.get(row.id)?.channel.replaced();
    const channel = new PollingChannel({
      sessionId: row.id,
      env: row.env,
      functions: functionsOf(row),
      conversational: isConversational(row.transport, JSON.parse(row.capabilities) as string[]),
      jobsMax: row.jobsMax,
      held: leased.map(({ id, fence }) => jobIdOf(id, fence)),
      clock,
      fetchMs: this.#options.settings.reconnectMs,
      roomChanged: (changed) => dispatcher.roomChanged(changed),
      giveBack: (offer) => this.#giveBack(row.id, offer),
    });
    return this.#takeUp(row, channel, leased);
  }

  /** This engine serves the session from now on. */
  async #takeUp<C extends RegisteredChannel>(
    row: SessionRow,
    channel: C,
    leased: readonly RunRow[],
  ): Promise<Session<C>> {
    this.#options.dispatcher.attach(channel);
    const connected = this.#connect(row, channel);
    for (const run of leased) await this.#tellUnseen(run); // no engine had its ear
    this.#options.takenUp(row.id);
    return connected;
  }

  #giveBack(sessionId: string, { jobId }: JobOffer): void {
    this.releaseJob(jobId, sessionId, { reason: 'returned' }).catch((error) =>
      this.#options.logger.error('a job that was not handed over could not be given back', { jobId, error }),
    );
  }

  #connect<C extends RegisteredChannel>(row: SessionRow, channel: C): Session<C> {
    this.#connected.get(row.id)?.graceTimer?.cancel();
    const connected: Session<C> = {
      id: row.id,
      transport: row.transport,
      channel,
      conversational: isConversational(row.transport, JSON.parse(row.capabilities) as string[]),
      leaseMs: row.leaseMs,
      registeredAt: row.registeredAt,
      executionsKept: undefined,
      renewedAt: row.heartbeatAt,
      graceTimer: undefined,
    };
    this.#connected.set(row.id, connected);
    return connected;
  }
}

type Session<C extends RegisteredChannel> = ConnectedSession & { readonly channel: C };
type PollingSession = Session<PollingChannel>;
export type StreamingSession = Session<LineChannel>;

function isPolling(connected: ConnectedSession): connected is PollingSession {
  return connected.channel instanceof PollingChannel;
}

function functionsOf(row: SessionRow): ReadonlyMap<string, number | null> {
  return new Map(Object.entries(JSON.parse(row.functions) as Record<string, number | null>)); // as registerSession stored it
}
