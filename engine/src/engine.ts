// Engine: the rooms wired together. It owns the group commit, the dispatcher, the sessions and the loops, and offers the use
// cases that transports translate to.
//
//   opened ──start()──► serving ──close()──► closed
//   E1. What a command asks to happen outside (`Outside`) happens here, after its commit.
//   E2. close() stops taking work, lets what is under way be stored, and leaves leases for the next engine to take up.

import { IronflowError, ValidationError } from '@ironflow/core';
import { type FunctionDefinition, redactedFailure } from '@ironflow/core/wire';
import { Membership } from './cluster/membership.ts';
import { type LoopName, News, type NewsItem } from './cluster/news.ts';
import { decideStep, type StepDecision } from './commands/decide-step.ts';
import { type EmitInput, type EmitResult, emit } from './commands/emit.ts';
import { finishEnding } from './commands/end-run.ts';
import { FunctionCatalog } from './commands/function-catalog.ts';
import type { CommandPorts, Outside } from './commands/ports.ts';
import { type PublishInput, type PublishResult, publish } from './commands/publish.ts';
import { recordRuns } from './commands/recording.ts';
import { type RegisterFunctionResult, registerFunction } from './commands/register-function.ts';
import { contractPush, ironflowResponse } from './commands/reporter.ts';
import { retryOrFailRun } from './commands/retry-run.ts';
import { SecretVault } from './commands/secret-vault.ts';
import { declaresNone, redactorOf, removeSecret, resealSecret, secretsOf, setSecret } from './commands/secrets.ts';
import { Dispatcher } from './dispatch/index.ts';
import { PushDispatch, type PushFunction, type PushSettings } from './dispatch/push.ts';
import { Sessions } from './dispatch/sessions.ts';
import { type Finding, repair } from './doctor/index.ts';
import { type Command, GroupCommit, type GroupCommitStats } from './group-commit/index.ts';
import { fieldsWithoutEffect } from './kernel/function-definition.ts';
import { refuseReport } from './kernel/lease.ts';
import { isEnded } from './kernel/run.ts';
import type { SecretView } from './kernel/secret-view.ts';
import { EventMatcher } from './loops/event-matcher.ts';
import { Loops } from './loops/index.ts';
import { LostAnswers } from './loops/lost-answers.ts';
import { type Asked, operationOf, RunOperations } from './operations/index.ts';
import type { Clock, Timer } from './ports/clock.ts';
import type { Ids } from './ports/ids.ts';
import type { Logger } from './ports/logger.ts';
import { createSecretBox, secretKeyFrom } from './ports/secret-box.ts';
import { type AuditPage, type ListAuditOptions, listAudit } from './queries/audit.ts';
import { type FunctionView, listFunctions, listWorkers, type WorkerView } from './queries/registry.ts';
import {
  findRun,
  getRun,
  type ListRunsOptions,
  listRuns,
  type RunPage,
  type RunView,
  type RunViewPorts,
  runView,
} from './queries/runs.ts';
import { listSecrets } from './queries/secrets.ts';
import { type AttemptView, getRunAttempts, getSteps, getWaits, type StepView, type WaitView } from './queries/steps.ts';
import { getTopicStats, listTopics, type TopicStats, type TopicView } from './queries/topics.ts';
import type { Store } from './store/port.ts';
import { functions, type RunRow, registries, runs, secrets, sessions } from './store/tables.ts';
import { Workers } from './workers/index.ts';

/** How often an engine looks for what other engines did and no news told of, in milliseconds. */
const SLOW_LOOK_MS = 5_000;

export interface EngineSettings {
  /** How long a worker may be silent before its leases end, in milliseconds. Default 30,000. */
  readonly leaseMs?: number | undefined;
  /** The same for workers of the published SDK, which send a heartbeat every 30 seconds. Default 90,000. */
  readonly contractLeaseMs?: number | undefined;
  /** How long a worker whose connection broke may take to come back, in milliseconds. Default 5,000. */
  readonly reconnectMs?: number | undefined;
  /** How long a published streaming worker may take to acknowledge a job, in milliseconds. Default 5,000. */
  readonly acknowledgeMs?: number | undefined;
  /** How long a poll is held when there is nothing to do, in milliseconds. Default 20,000. */
  readonly pollMs?: number | undefined;
  /** How long a finished run is kept, in milliseconds. Default: for ever. */
  readonly runRetentionMs?: number | undefined;
  /** How long an idempotency key is remembered, in milliseconds. Default: 7 days. */
  readonly idempotencyRetentionMs?: number | undefined;
  readonly push?: PushSettings | undefined;
  /** Keys that secrets are sealed with, 32 bytes each in base64 or hex: the first seals, all open. Default: none, and no secrets. */
  readonly secretKeys?: readonly string[] | undefined;
}

export interface EngineParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly settings?: EngineSettings | undefined;
}

export class Engine {
  readonly id: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** See `EngineSettings`. */
  readonly acknowledgeMs: number;
  /** What people do to runs. */
  readonly operations: RunOperations;
  /** What workers and endpoints ask for. */
  readonly workers: Workers;
  readonly #runRetentionMs: number | undefined;
  readonly #commit: GroupCommit;
  readonly #ports: CommandPorts;
  readonly #views: RunViewPorts;
  readonly #dispatcher: Dispatcher;
  readonly #sessions: Sessions;
  readonly #loops: Loops;
  readonly #matcher: EventMatcher;
  readonly #push: PushDispatch;
  readonly #membership: Membership;
  readonly #news: News;
  readonly #lostAnswers: LostAnswers;
  #slowLook: Timer | undefined;
  #listensAt: string | undefined;
  readonly #watchers = new Map<string, Set<(run: RunRow) => void>>();
  #closing: Promise<void> | undefined;

  constructor({ store, clock, ids, logger, settings = {} }: EngineParts) {
    this.id = ids.next('eng', clock.now());
    this.store = store;
    this.clock = clock;
    this.logger = logger;
    this.acknowledgeMs = settings.acknowledgeMs ?? 5_000;
    this.#runRetentionMs = settings.runRetentionMs;
    const leases = {
      leaseMs: settings.leaseMs ?? 30_000,
      contractLeaseMs: settings.contractLeaseMs ?? 90_000,
      reconnectMs: settings.reconnectMs ?? 5_000,
    };
    this.#commit = new GroupCommit({
      store,
      clock,
      ids,
      onOutcomeUnknown: () => this.#lookAgain(),
      complete: (tx) => recordRuns(tx, this.#ports),
    });
    this.#ports = {
      functions: new FunctionCatalog(),
      secrets: new SecretVault(createSecretBox((settings.secretKeys ?? []).map(secretKey))),
      outside: this.#outside(),
      settings: {
        idempotencyRetentionMs: settings.idempotencyRetentionMs ?? 7 * 86_400_000,
        runRetentionMs: settings.runRetentionMs,
      },
    };
    this.#views = { store, clock, functions: this.#ports.functions };
    this.operations = new RunOperations({
      store,
      clock,
      ports: this.#ports,
      run: (name, key, command) => this.#run(name, key, command),
    });
    this.#membership = new Membership({
      engineId: this.id,
      store,
      commit: this.#commit,
      clock,
      logger,
      changed: () => {
        this.#loops.lookAgain();
        // What one that is gone did last, and no news told of, nobody looks for once this engine is alone.
        if (this.#slowLook === undefined) return;
        this.#dispatcher.lookAgain();
        this.#lostAnswers.note();
      },
      takeOver: async (engineId) => {
        await this.#sessions.giveUpEngine(engineId);
        await this.#matcher.takeOver(engineId);
      },
    });
    this.#news = new News({
      engineId: this.id,
      store,
      clock,
      isAlone: () => this.#membership.isAlone,
      heard: (item) => this.#heard(item),
    });
    this.#dispatcher = new Dispatcher({
      store,
      clock,
      ids,
      logger,
      timeoutMs: ({ env, functionId, version }) =>
        this.#run('timeoutOf', undefined, async (tx) => {
          const definition = await this.#ports.functions.version(tx, env, functionId, version);
          return definition?.timeoutMs ?? 0;
        }),
      secrets: (run) =>
        declaresNone(run, this.#ports)
          ? undefined
          : this.#run('secretsOf', undefined, (tx) => secretsOf(tx, run, this.#ports)),
      sessionGuard: async (sessionId) => {
        const [session] = await store.get(sessions, [[sessionId]]);
        if (session === null || session === undefined || session.row.expired) return undefined;
        return { table: sessions, key: [sessionId], expected: session.revision };
      },
      claim: async (claim) => {
        const claimed = await this.#commit.claim(claim);
        for (const { row } of claimed ?? [])
          if (row.deadlineAt !== null) this.#dueAt('deadlines', row.id, row.deadlineAt);
        return claimed;
      },
      giveBack: ({ id, fence, leaseSession }) =>
        this.#sessions.release(id, fence, leaseSession ?? '', { reason: 'returned' }),
      cannotUndo: ({ id, fence }) =>
        this.#run('cannotUndo', id, async (tx) => {
          const run = await tx.get(runs, [id]);
          if (run?.status === 'running' && run.fence === fence) await finishEnding(tx, run, this.#ports, false);
        }),
    });
    const common = { store, commit: this.#commit, commands: this.#ports, clock, logger };
    this.#sessions = new Sessions({
      ...common,
      engineId: this.id,
      dispatcher: this.#dispatcher,
      takenUp: (sessionId) => this.#news.tell(['session', sessionId]),
      left: (sessionId) => this.#news.tell(['session-left', sessionId]),
      settings: leases,
    });
    this.workers = new Workers({
      ...common,
      dispatcher: this.#dispatcher,
      sessions: this.#sessions,
      pollMs: settings.pollMs ?? 20_000,
      isOpen: () => this.#closing === undefined,
    });
    const isAlone = () => this.#membership.isAlone;
    const owns = (id: string) => this.#membership.owns(id);
    this.#loops = new Loops({ ...common, isAlone, owns, runRetentionMs: settings.runRetentionMs });
    this.#lostAnswers = new LostAnswers({
      clock,
      logger,
      look: () => this.#lookForUntold(),
      giveBackUnheld: (leasedBefore) => this.#sessions.giveBackUnheld(leasedBefore),
    });
    const isAlive = (engineId: string) => this.#membership.isAlive(engineId);
    this.#matcher = new EventMatcher({ ...common, engineId: this.id, isAlive });
    this.#push = new PushDispatch({
      engineId: this.id,
      clock,
      logger,
      dispatcher: this.#dispatcher,
      settings: settings.push ?? {},
      functions: (env) => this.#pushFunctions(env),
      publicUrl: () => settings.push?.publicUrl ?? this.#listensAt,
      register: (env, hello) => this.#sessions.registerOwn(env, hello),
      unregister: (sessionId) => this.#sessions.end(sessionId),
      report: (sessionId, pushed, extended) =>
        this.workers.reportAs(sessionId, pushed, extended ? ironflowResponse : contractPush),
      fail: (sessionId, assignment, error) =>
        this.#run('failPush', assignment.runId, async (tx) => {
          const run = await tx.get(runs, [assignment.runId]);
          const claim = { sessionId, fence: assignment.fence, token: assignment.leaseToken };
          if (run === null || refuseReport(run, claim) !== undefined) return;
          const redactor = await redactorOf(tx, run, this.#ports);
          const told = redactor === undefined ? error : redactedFailure(error, redactor);
          await retryOrFailRun(tx, run, told, this.#ports, false);
        }),
      handBack: (sessionId, { jobId }) => this.#sessions.releaseJob(jobId, sessionId, { reason: 'returned' }),
    });
  }

  /** Takes up what earlier engines left, and begins to work. */
  async start(): Promise<void> {
    await this.#resealSecrets();
    const shared = !this.store.exclusive;
    if (shared) {
      this.#news.start();
      await this.#membership.start();
      this.#news.tell(['engines'], true);
    }
    await this.#sessions.start();
    await this.#matcher.start();
    this.#loops.start();
    await this.#syncAllPush();
    if (shared) this.#planSlowLook();
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#slowLook?.cancel();
      this.#sessions.close();
      await this.#push.close();
      this.#dispatcher.close();
      await this.#loops.close();
      await this.#lostAnswers.close();
      await this.#matcher.close();
      await this.#membership.close();
      await this.#commit.settled();
      if (this.store.exclusive) return;
      await this.#leave().catch((error) => this.logger.warn('other engines were not told of the end', { error }));
      this.#news.close();
    })();
    return this.#closing;
  }

  /** Why this engine should not be sent work now; undefined when it should. */
  async unreadiness(): Promise<string | undefined> {
    if (this.#closing !== undefined) return 'the engine is shutting down';
    try {
      await this.store.scan({ table: registries, limit: 1 });
      return undefined;
    } catch {
      return 'the store does not answer';
    }
  }

  /** Repairs what the doctor found and can be repaired. @returns the findings that are left as they are. */
  repair(findings: readonly Finding[]): Promise<readonly Finding[]> {
    return repair(findings, this.#commit, this.#ports);
  }

  /** Push endpoints reach the engine here, where the settings name no other address. */
  listensAt(url: string): void {
    this.#listensAt ??= url;
  }

  get stats(): Readonly<GroupCommitStats> {
    return this.#commit.stats;
  }

  // ── functions and events ──

  async registerFunction(env: string, definition: FunctionDefinition): Promise<RegisterFunctionResult> {
    const registered = await this.#run('registerFunction', `function ${env} ${definition.id}`, (tx) =>
      registerFunction(tx, { env, definition }, this.#ports),
    );
    const { version, changed, isNewVersion } = registered;
    const fields = { env, functionId: definition.id, version };
    if (changed) this.logger.info('function registered', { ...fields, mode: definition.mode });
    const ignored = fieldsWithoutEffect(definition);
    if (isNewVersion && ignored.length > 0)
      this.logger.warn('a function asks for what has no effect in this version of the engine', { ...fields, ignored });
    return registered;
  }

  listFunctions(env: string): Promise<FunctionView[]> {
    return listFunctions(this.store, env);
  }

  emit(input: EmitInput): Promise<EmitResult> {
    return this.#run('emit', undefined, (tx) => emit(tx, input, this.#ports));
  }

  /** Publishes a message to a topic; it starts no runs. */
  publish(input: PublishInput): Promise<PublishResult> {
    return this.#run('publish', undefined, (tx) => publish(tx, input, this.#ports));
  }

  listTopics(env: string): Promise<TopicView[]> {
    return listTopics(this.store, env);
  }

  getTopicStats(env: string, topic: string): Promise<TopicStats> {
    return getTopicStats(this.store, env, topic);
  }

  // ── secrets ──

  /** Gives a secret a value. @throws {IronflowError} NOT_CONFIGURED when this engine has no key. */
  setSecret(
    env: string,
    name: string,
    value: string,
  ): Promise<{ readonly secret: SecretView; readonly created: boolean }> {
    return this.#run('setSecret', `secret ${env} ${name}`, (tx) => setSecret(tx, { env, name, value }, this.#ports));
  }

  /** @returns false when there is no such secret. */
  removeSecret(env: string, name: string): Promise<boolean> {
    return this.#run('removeSecret', `secret ${env} ${name}`, (tx) => removeSecret(tx, { env, name }, this.#ports));
  }

  /** The secrets that there are, without their values. */
  listSecrets(env: string): Promise<SecretView[]> {
    return listSecrets(this.store, env);
  }

  // ── runs ──

  /** @throws {RunNotFoundError} */
  getRun(env: string, runId: string): Promise<RunView> {
    return getRun(this.#views, env, runId);
  }

  listRuns(env: string, options: ListRunsOptions): Promise<RunPage> {
    return listRuns(this.#views, env, options);
  }

  /** @throws {RunNotFoundError} */
  getSteps(env: string, runId: string): Promise<StepView[]> {
    return getSteps(this.store, env, runId);
  }

  /** @throws {RunNotFoundError} */
  getRunAttempts(env: string, runId: string): Promise<AttemptView[]> {
    return getRunAttempts(this.store, env, runId);
  }

  /** What a run waits for. @throws {RunNotFoundError} */
  getWaits(env: string, runId: string): Promise<WaitView[]> {
    return getWaits(this.store, env, runId);
  }

  /** What was done to a run, or to the runs of an environment, by whom and why. */
  listAudit(env: string, options: ListAuditOptions): Promise<AuditPage> {
    return listAudit(this.store, env, options);
  }

  /**
   * Decides how a step ended that must not run twice, and of which nobody knows.
   * @throws {RunNotFoundError}, {IronflowError} CONFLICT when nothing is to be decided there.
   */
  async decideStep(
    env: string,
    runId: string,
    stepId: string,
    decision: StepDecision,
    asked: Asked = {},
  ): Promise<RunView> {
    await findRun(this.store, env, runId);
    const input = { runId, stepId, decision, ...operationOf(asked) };
    await this.#run('decideStep', runId, (tx) => decideStep(tx, input, this.#ports));
    return this.getRun(env, runId);
  }

  /**
   * The run once it has ended, or as it is when `timeoutMs` is over or `signal` aborts.
   * @throws {RunNotFoundError}
   */
  async result(env: string, runId: string, timeoutMs: number, signal?: AbortSignal): Promise<RunView> {
    const { promise, resolve } = Promise.withResolvers<RunRow | undefined>();
    const watchers = this.#watchers.get(runId) ?? new Set();
    this.#watchers.set(runId, watchers.add(resolve));
    const timer = this.clock.setTimer(timeoutMs, () => resolve(undefined));
    const abort = () => resolve(undefined);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const stored = await findRun(this.store, env, runId);
      if (isEnded(stored)) return await runView(this.#views, stored);
      const ended = await promise;
      return ended === undefined ? await this.getRun(env, runId) : await runView(this.#views, ended);
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
      watchers.delete(resolve);
      if (watchers.size === 0) this.#watchers.delete(runId);
    }
  }

  // ── workers ──

  listWorkers(env: string): Promise<WorkerView[]> {
    return listWorkers(this.store, env, this.clock);
  }

  // ── inside ──

  #run<R>(name: string, key: string | undefined, command: Command<R>): Promise<R> {
    return this.#commit.run(name, key, command);
  }

  /** Effects of a commit may have been lost with its answer: everybody asks the store. */
  #lookAgain(): void {
    if (this.#closing !== undefined) return;
    this.#dispatcher.lookAgain();
    this.#loops.lookAgain();
    this.#matcher.lookAgain();
    this.#lostAnswers.note();
  }

  /** Says that nothing is to be followed up. Without it the others find out by this engine's silence. */
  async #leave(): Promise<void> {
    await this.#sessions.giveUpEngine(this.id);
    await this.#matcher.leave();
    await this.#membership.leave();
    this.#news.tell(['engines'], true);
  }

  // ── other engines on the same store ──

  #dueAt(loop: LoopName, id: string, at: number): void {
    if (this.#membership.owns(id)) this.#loops[loop].dueAt(at);
    // What is due later than that the others find in time by themselves.
    else if (at < this.clock.now() + SLOW_LOOK_MS) this.#news.tell(['due', loop, at]);
  }

  #heard(item: NewsItem): void {
    if (this.#closing !== undefined) return;
    const [kind] = item;
    switch (kind) {
      case 'queued':
        this.#dispatcher.queued({ env: item[1], functionId: item[2], version: item[3] });
        break;
      case 'due':
        this.#loops[item[1]].dueAt(item[2]);
        break;
      case 'resolved':
        this.#inBackground('a worker was not told', this.#sessions.resolvedElsewhere(item[1], item[2]));
        break;
      case 'job-ended':
        this.#dispatcher.ended(item[1], item[2]);
        break;
      case 'job-revoked':
        this.#dispatcher.revoked(item[1], item[2], item[3], item[4]);
        break;
      case 'run-ended':
        if (this.#watchers.has(item[1]))
          this.#inBackground('the end of a run was not seen', this.#lookAtWatched(item[1]));
        break;
      case 'functions':
        this.#functionsChanged(item[1]);
        break;
      case 'session':
        this.#sessions.movedElsewhere(item[1]);
        break;
      case 'session-left':
        this.#sessions.noteLeft(item[1]);
        break;
      case 'engines':
        this.#inBackground('the engines were not counted', this.#membership.look());
    }
  }

  #planSlowLook(): void {
    this.#slowLook = this.clock.setTimer(SLOW_LOOK_MS, () => {
      if (this.#closing !== undefined) return;
      this.#planSlowLook();
      this.#inBackground('a look at the store failed', this.#lookForLostNews());
    });
  }

  async #lookForLostNews(): Promise<void> {
    await this.#matcher.keepUp();
    if (!this.#membership.isAlone) await this.#lookAtAll();
  }

  async #lookAtAll(): Promise<void> {
    this.#dispatcher.lookAgain();
    this.#loops.lookAgain();
    await this.#lookForUntold();
  }

  /** What is told of once, and whoever missed it does not ask for. */
  async #lookForUntold(): Promise<void> {
    await this.#sessions.lookAgain();
    for (const runId of [...this.#watchers.keys()]) await this.#lookAtWatched(runId);
    await this.#syncAllPush();
  }

  async #lookAtWatched(runId: string): Promise<void> {
    const [found] = await this.store.get(runs, [[runId]]);
    if (found === null || found === undefined || !isEnded(found.row)) return;
    for (const resolve of this.#watchers.get(runId) ?? []) resolve(found.row);
  }

  #inBackground(failure: string, work: Promise<void>): void {
    work.catch((error) => {
      if (this.#closing === undefined) this.logger.warn(`${failure}; it is looked for again`, { error });
    });
  }

  #outside(): Outside {
    return {
      reserve: (queue, runId) => this.#dispatcher.reserve(queue, runId),
      leased: (reservation, run, event) => this.#dispatcher.leased(reservation, run, event),
      queued: (queue) => {
        this.#dispatcher.queued(queue);
        this.#news.tell(['queued', queue.env, queue.functionId, queue.version]);
      },
      waitDueAt: (runId, at) => this.#dueAt('timers', runId, at),
      deadlineAt: (runId, at) => this.#dueAt('deadlines', runId, at),
      sessionExpiresAt: (sessionId, at) => this.#dueAt('expiry', sessionId, at),
      sessionExpired: (sessionId) => {
        if (!this.#sessions.hasLeft(sessionId))
          this.logger.warn('worker is silent; its runs go to others', { workerId: sessionId });
        this.#dispatcher.detach(sessionId);
      },
      eventWaitBegun: (wait) => this.#matcher.eventWaitBegun(wait),
      eventAppended: (env, position, event) => this.#matcher.eventAppended(env, position, event),
      resolved: (run, resolution) => {
        const { leaseSession } = run;
        if (!this.#dispatcher.resolved(run, resolution) && leaseSession !== null)
          this.#news.tell(['resolved', leaseSession, run.id]);
      },
      jobEnded: (sessionId, jobId) => {
        if (!this.#dispatcher.ended(sessionId, jobId)) this.#news.tell(['job-ended', sessionId, jobId]);
      },
      jobRevoked: (sessionId, jobId, code, message) => {
        if (!this.#dispatcher.revoked(sessionId, jobId, code, message))
          this.#news.tell(['job-revoked', sessionId, jobId, code, message]);
      },
      runEnded: (run) => {
        this.#logEnd(run);
        for (const resolve of this.#watchers.get(run.id) ?? []) resolve(run);
        this.#news.tell(['run-ended', run.id]);
        if (this.#runRetentionMs !== undefined) this.#loops.purge.dueAt(this.clock.now() + this.#runRetentionMs);
      },
      keyExpiresAt: (at) => this.#loops.purge.dueAt(at),
      functionsChanged: (env) => {
        this.#functionsChanged(env);
        this.#news.tell(['functions', env]);
      },
    };
  }

  /**
   * Brings all that is sealed under the first key, so that a key which is no longer first can be taken away.
   * @throws {IronflowError} NOT_CONFIGURED when a key is missing: functions would run without what they declare.
   */
  async #resealSecrets(): Promise<void> {
    const { box } = this.#ports.secrets;
    const rows = await this.store.scan({ table: secrets, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of rows) {
      if (row.keyId === box.keyId) continue;
      if (!box.has(row.keyId)) {
        throw new IronflowError(
          `Secret "${row.name}" of environment "${row.env}" is sealed with key ${row.keyId}, which IRONFLOW_SECRET_KEY does not have. ` +
            'Add that key behind the new one, separated by a comma.',
          { code: 'NOT_CONFIGURED', details: { secret: row.name, keyId: row.keyId } },
        );
      }
      await this.#run('resealSecret', undefined, (tx) => resealSecret(tx, row, this.#ports));
    }
  }

  #functionsChanged(env: string): void {
    this.#matcher.environmentChanged(env);
    this.#inBackground('push endpoints were not brought up to date', this.#push.sync(env));
  }

  async #syncAllPush(): Promise<void> {
    const environments = await this.store.scan({ table: registries, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of environments) await this.#push.sync(row.env);
  }

  #logEnd({ id, functionId, status, attempt, error }: RunRow): void {
    const fields = { runId: id, functionId, attempt };
    if (status !== 'failed') {
      this.logger.debug(`run ${status}`, fields);
      return;
    }
    // The code says what went wrong; the message may hold what the function was given, and stays with the run.
    const { code, name } = JSON.parse(error ?? '{}') as { code?: string; name?: string };
    this.logger.warn('run failed', { ...fields, code, name });
  }

  async #pushFunctions(env: string): Promise<PushFunction[]> {
    const rows = await this.store.scan({ table: functions, prefix: [env], limit: Number.MAX_SAFE_INTEGER });
    return rows
      .map(({ row }) => ({ version: row.version, definition: JSON.parse(row.definition) as FunctionDefinition })) // as registerFunction stored it
      .filter(({ definition }) => definition.mode === 'push');
  }
}

function secretKey(text: string, index: number): Uint8Array {
  const key = secretKeyFrom(text);
  if (key !== undefined) return key;
  throw new ValidationError(
    `Key ${index + 1} of IRONFLOW_SECRET_KEY is not 32 bytes in base64 or hex. Make one: openssl rand -base64 32`,
  );
}
