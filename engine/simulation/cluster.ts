// A cluster in one process: engines, workers and a client, on one store and one clock, with faults between all of them.

import { capabilities, parseFunctionRegistration, type Report, type ReportAnswer } from '@ironflow/core/wire';
import { registrationOf } from '../../src/function/index.ts';
import { JobPool } from '../../src/worker/job-pool.ts';
import { LeaseWatch } from '../../src/worker/lease-watch.ts';
import { Engine, type EngineSettings } from '../src/engine.ts';
import { createIds } from '../src/ports/ids.ts';
import { silentLogger } from '../src/ports/logger.ts';
import type { VirtualClock } from '../src/ports/virtual-clock.ts';
import { MemoryStore } from '../src/store/memory/index.ts';
import type { Claim, CommitResult, Stored, WriteSet } from '../src/store/port.ts';
import type { Row } from '../src/store/table.ts';
import { type RunRow, runs } from '../src/store/tables.ts';
import type { Checker } from './checker.ts';
import { compile } from './compile.ts';
import { FaultyStore, noFaults, type StoreFaults } from './faulty-store.ts';
import { SimProcess } from './process.ts';
import type { Program } from './program.ts';
import type { Random } from './random.ts';

export const env = 'default';

export interface Faults {
  readonly store: StoreFaults;
  /** Chances that a call's request, or its answer, is lost. */
  readonly loseRequest: number;
  readonly loseAnswer: number;
  /** Longest delay of a message, in milliseconds. */
  readonly networkMs: number;
  /** Mean time between kills of an engine, and of a worker, in milliseconds; 0 for never. */
  readonly engineLifeMs: number;
  readonly workerLifeMs: number;
  /** Chance that a worker is frozen past its lease rather than killed. */
  readonly freeze: number;
}

export const calm: Faults = {
  store: noFaults,
  loseRequest: 0,
  loseAnswer: 0,
  networkMs: 0,
  engineLifeMs: 0,
  workerLifeMs: 0,
  freeze: 0,
};

/** The memory store, with the checker looking at each commit as it takes effect. */
export class ObservedStore extends MemoryStore {
  readonly #checker: Checker;
  commits = 0;

  constructor(checker: Checker, exclusive: boolean) {
    super({ exclusive });
    this.#checker = checker;
  }

  override async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    this.commits++;
    const results = await super.commit(writeSets);
    this.#checker.committed(writeSets, results);
    return results;
  }

  override async claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    this.commits++;
    const claimed = await super.claim(claim);
    if (claimed !== null && (claim.table as unknown) === runs)
      this.#checker.claimed(claimed.map(({ row }) => row as unknown as RunRow));
    return claimed;
  }
}

export interface ClusterOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly checker: Checker;
  readonly engines: number;
  readonly workers: number;
  readonly jobsMax: number;
  readonly programs: readonly Program[];
  readonly trace: (line: string) => void;
}

const SETTINGS: EngineSettings = { leaseMs: 6_000, reconnectMs: 1_000, pollMs: 4_000 };
const RESTART_MS = 800;

export class Cluster {
  readonly options: ClusterOptions;
  readonly store: ObservedStore;
  readonly faultCounts = new Map<string, number>();
  readonly random: Random;
  readonly #ids: ReturnType<typeof createIds>;
  readonly #engines: (EngineProcess | undefined)[];
  faults: Faults = calm;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.random = options.random;
    this.store = new ObservedStore(options.checker, options.engines === 1);
    const idRandom = this.random.fork();
    this.#ids = createIds((bytes) => idRandom.fillBytes(bytes));
    this.#engines = Array.from({ length: options.engines }, () => undefined);
  }

  get ids() {
    return this.#ids;
  }

  count(fault: string): void {
    this.faultCounts.set(fault, (this.faultCounts.get(fault) ?? 0) + 1);
    this.trace(`fault: ${fault}`);
  }

  trace(line: string): void {
    this.options.trace(`${this.options.clock.now()} ${line}`);
  }

  start(): void {
    for (let slot = 0; slot < this.#engines.length; slot++) this.startEngine(slot);
    for (let number = 0; number < this.options.workers; number++) void new WorkerProcess(this, number).run();
  }

  startEngine(slot: number): void {
    const engine = new EngineProcess(this, slot);
    this.#engines[slot] = engine;
    engine.open();
  }

  engineGone(slot: number): void {
    this.#engines[slot] = undefined;
    this.options.clock.setTimer(RESTART_MS, () => this.startEngine(slot));
  }

  /** An engine that answers, if there is one. */
  anyEngine(): EngineProcess | undefined {
    const open = this.#engines.filter((engine) => engine?.ready === true);
    return open.length === 0 ? undefined : this.random.pick(open);
  }

  /** Kills all that are frozen or not: for the end of a simulation. */
  engines(): EngineProcess[] {
    return this.#engines.filter((engine) => engine !== undefined);
  }

  /**
   * Calls an engine over a network that delays and loses. Rejects when no answer comes: the caller cannot know whether the
   * call took place.
   */
  async call<T>(caller: SimProcess, engine: EngineProcess, work: (engine: Engine) => Promise<T>): Promise<T> {
    const { loseRequest, loseAnswer } = this.faults;
    await this.#travel(caller);
    if (this.random.chance(loseRequest)) {
      this.count('request lost');
      throw new Error('no answer');
    }
    const answer = await caller.whileAlive(Promise.race([work(engine.engine), engine.process.gone]));
    await this.#travel(caller);
    if (this.random.chance(loseAnswer)) {
      this.count('answer lost');
      throw new Error('no answer');
    }
    return answer;
  }

  async #travel(caller: SimProcess): Promise<void> {
    const { networkMs } = this.faults;
    if (networkMs === 0 || this.random.chance(0.5)) return;
    await new Promise<void>((resolve) => caller.setTimer(this.random.int(1, networkMs), resolve));
  }
}

class EngineProcess {
  readonly process: SimProcess;
  readonly engine: Engine;
  ready = false;
  readonly #cluster: Cluster;
  readonly #slot: number;

  constructor(cluster: Cluster, slot: number) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.process = new SimProcess(`engine ${slot}`, cluster.options.clock);
    const store = new FaultyStore({
      store: cluster.store,
      process: this.process,
      random: cluster.random.fork(),
      faults: () => cluster.faults.store,
      kill: () => this.kill('in a commit'),
      count: (fault) => cluster.count(fault),
    });
    this.engine = new Engine({
      store,
      clock: this.process,
      ids: cluster.ids,
      logger: silentLogger,
      settings: SETTINGS,
    });
  }

  open(): void {
    this.engine.start().then(
      () => {
        this.ready = true;
        this.#cluster.trace(`${this.process.name} is open`);
        this.#planDeath();
      },
      () => this.kill('while it opened'),
    );
  }

  kill(when: string): void {
    if (!this.process.alive) return;
    this.ready = false;
    this.#cluster.trace(`${this.process.name} killed ${when}`);
    this.process.kill();
    this.#cluster.engineGone(this.#slot);
  }

  #planDeath(): void {
    const { engineLifeMs } = this.#cluster.faults;
    if (engineLifeMs === 0) return;
    this.process.setTimer(this.#cluster.random.int(1, 2 * engineLifeMs), () => {
      if (this.#cluster.faults.engineLifeMs === 0) return;
      this.#cluster.count('engine killed');
      this.kill('at a random time');
    });
  }
}

/** A worker process: registers, polls, reports and sends heartbeats as the SDK's polling transport does, and dies at times. */
class WorkerProcess {
  readonly #cluster: Cluster;
  readonly #number: number;
  readonly #process: SimProcess;
  readonly #pool: JobPool;
  readonly #id: string;
  readonly #fences = new Map<string, number>();
  readonly #leases: LeaseWatch;
  #polls = 0;
  #engine: EngineProcess | undefined;

  constructor(cluster: Cluster, number: number) {
    const { options } = cluster;
    this.#cluster = cluster;
    this.#number = number;
    this.#id = cluster.ids.next('worker', options.clock.now());
    this.#process = new SimProcess(`worker ${number} ${this.#id.slice(-4)}`, options.clock);
    this.#leases = new LeaseWatch(this.#process);
    const functions = options.programs.flatMap((program) =>
      compile(program, {
        bodyStarted: (start) => {
          cluster.trace(`${this.#process.name} starts ${start.stepId} attempt ${start.attempt}`);
          const fence = this.#fences.get(start.runId) ?? 0;
          options.checker.bodyStarted({ ...start, fence, worker: this.#process.name });
        },
        pass: (ms) => new Promise((resolve) => this.#process.setTimer(ms, resolve)),
      }),
    );
    this.#pool = new JobPool({
      functions: new Map(functions.map((fn) => [fn.id, fn])),
      jobsMax: options.jobsMax,
      turns: this.#process,
      logger: silentLogger,
      gate: () => this.#leases.gate(),
    });
    this.#functions = functions;
  }

  readonly #functions: ReturnType<typeof compile>;

  async run(): Promise<void> {
    this.#planDeath();
    this.#beat();
    for (;;) {
      try {
        await this.#register();
        while (await this.#poll());
      } catch {
        this.#engine = undefined;
        await this.#pause(this.#cluster.random.int(50, 500));
      }
    }
  }

  #call<T>(work: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.#engine?.ready !== true) this.#engine = this.#cluster.anyEngine();
    if (this.#engine === undefined) return Promise.reject(new Error('no engine is open'));
    return this.#process.whileAlive(this.#cluster.call(this.#process, this.#engine, work));
  }

  async #register(): Promise<void> {
    const functionVersions: Record<string, number> = {};
    for (const fn of this.#functions) {
      const registration = parseFunctionRegistration(registrationOf(fn, { mode: 'pull', codeHash: fn.id }));
      const { version } = await this.#call((engine) => engine.registerFunction(env, registration));
      functionVersions[fn.id] = version;
    }
    const sentAt = this.#process.now();
    const { leaseMs } = await this.#call((engine) =>
      engine.registerWorker(env, {
        workerId: this.#id,
        hostname: 'simulated',
        functionIds: this.#functions.map(({ id }) => id),
        functionVersions,
        jobsMax: this.#cluster.options.jobsMax,
        labels: {},
        version: { sdk: '', runtime: '' },
        capabilities: [...capabilities],
      }),
    );
    if (this.#pool.size === 0) this.#leases.confirmed(sentAt, leaseMs);
    else await this.#heartbeat();
  }

  async #poll(): Promise<boolean> {
    const aborted = new AbortController();
    const poll = { available: this.#pool.available, draining: false, number: ++this.#polls };
    const { lapses } = this.#leases;
    let answer: Awaited<ReturnType<Engine['poll']>>;
    try {
      answer = await this.#call((engine) => engine.poll(this.#id, poll, aborted.signal));
    } catch (error) {
      aborted.abort();
      throw error;
    }
    if (answer === undefined) return false;
    const stands = this.#leases.isValid && this.#leases.lapses === lapses;
    for (const assignment of stands ? answer.jobs : []) {
      this.#cluster.trace(`${this.#process.name} gets ${assignment.jobId}, ${assignment.memo.length} steps done`);
      this.#fences.set(assignment.runId, assignment.fence);
      this.#pool.add(assignment, { report: (report) => this.#report(assignment.runId, report) });
    }
    for (const { jobId, resolution } of answer.resolutions) this.#pool.resolve(jobId, resolution);
    for (const { jobId, message } of answer.revoked) this.#pool.drop(jobId, message);
    return true;
  }

  /** Sends a report until an answer comes, as the report queue does. */
  async #report(runId: string, report: Report): Promise<ReportAnswer> {
    for (;;) {
      try {
        const answer = await this.#call((engine) => engine.report(this.#id, report));
        this.#cluster.trace(`${this.#process.name} reported ${describe(report)}: ${answer.status}`);
        if (answer.status === 'accepted') {
          const retried = new Set(answer.retries.map(({ stepId }) => stepId));
          const done = report.records.map(({ stepId }) => stepId).filter((stepId) => !retried.has(stepId));
          this.#cluster.options.checker.acknowledged(runId, done);
        }
        return answer;
      } catch {
        await this.#pause(this.#cluster.random.int(20, 400));
      }
    }
  }

  #beat(): void {
    this.#process.setTimer(2_000, () => {
      this.#beat();
      this.#heartbeat().catch(() => {});
    });
  }

  async #heartbeat(): Promise<void> {
    this.#leases.look();
    const sentAt = this.#process.now();
    const held = this.#pool.jobs().map(({ jobId }) => jobId);
    const lost = await this.#call((engine) => engine.heartbeat(this.#id, held, this.#polls));
    if (lost === undefined) return;
    for (const jobId of lost) this.#pool.drop(jobId, 'its lease was lost');
    this.#leases.confirmed(sentAt, SETTINGS.leaseMs ?? 0);
  }

  #planDeath(): void {
    const { workerLifeMs, freeze } = this.#cluster.faults;
    if (workerLifeMs === 0) return;
    const { random } = this.#cluster;
    this.#process.setTimer(random.int(1, 2 * workerLifeMs), () => {
      if (this.#cluster.faults.workerLifeMs === 0) return;
      if (random.chance(freeze)) this.#freeze();
      else this.#die();
    });
  }

  #die(): void {
    this.#cluster.count('worker killed');
    this.#cluster.trace(`${this.#process.name} killed`);
    this.#process.kill();
    const { clock } = this.#cluster.options;
    clock.setTimer(
      this.#cluster.random.int(100, 3_000),
      () => void new WorkerProcess(this.#cluster, this.#number).run(),
    );
  }

  #freeze(): void {
    const ms = this.#cluster.random.int(500, 20_000);
    this.#cluster.count('worker frozen');
    this.#cluster.trace(`${this.#process.name} frozen for ${ms} ms`);
    this.#process.freeze();
    this.#cluster.options.clock.setTimer(ms, () => {
      this.#cluster.trace(`${this.#process.name} thawed`);
      this.#process.thaw();
      this.#planDeath();
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#process.setTimer(ms, resolve));
  }
}

function describe({ jobId, records, waits, end }: Report): string {
  const parts = [
    ...records.map(({ name, status, attempt }) => `${name}#${attempt} ${status}`),
    ...waits.map(({ kind, name }) => `${kind} ${name}`),
    ...(end ? [end.status] : []),
  ];
  return `${jobId} [${parts.join(', ')}]`;
}
