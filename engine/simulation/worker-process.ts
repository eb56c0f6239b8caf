import {
  type Assignment,
  capabilities,
  isContinuation,
  parseFunctionRegistration,
  type Report,
  type ReportAnswer,
} from '@ironflow/core/wire';
import { type IronflowFunction, registrationOf } from '../../src/function/index.ts';
import { JobPool } from '../../src/worker/job-pool.ts';
import { LeaseWatch } from '../../src/worker/lease-watch.ts';
import { WarmExecutions } from '../../src/worker/warm-executions.ts';
import type { Engine } from '../src/engine.ts';
import { silentLogger } from '../src/ports/logger.ts';
import { type Cluster, env } from './cluster.ts';
import { compile } from './compile.ts';
import { type EngineProcess, engineSettings } from './engine-process.ts';
import { SimProcess } from './process.ts';

/**
 * A worker process: registers, polls, reports and sends heartbeats as the SDK's polling transport does, has its clock set
 * wrong, is frozen, and dies at times.
 */
export class WorkerProcess {
  readonly process: SimProcess;
  readonly #cluster: Cluster;
  readonly #number: number;
  readonly #pool: JobPool;
  readonly #id: string;
  readonly #fences = new Map<string, number>();
  readonly #leases: LeaseWatch;
  readonly #functions: readonly IronflowFunction[];
  readonly #warm: WarmExecutions;
  /** The release of the functions' code that this process was started with. */
  readonly #release: number;
  #polls = 0;
  #beats = 0;
  #engine: EngineProcess | undefined;

  constructor(cluster: Cluster, number: number) {
    const { options } = cluster;
    this.#cluster = cluster;
    this.#number = number;
    this.#release = cluster.release;
    this.#id = cluster.ids.next('worker', options.clock.now());
    this.process = new SimProcess(`worker ${number} ${this.#id.slice(-4)}`, options.clock);
    this.process.setOffset(cluster.drawOffset());
    this.#leases = new LeaseWatch(this.process);
    this.#functions = options.programs.flatMap((program) =>
      compile(program, {
        bodyStarted: (start) => {
          cluster.trace(`${this.process.name} starts ${start.stepId} attempt ${start.attempt}`);
          const fence = this.#fences.get(start.runId) ?? 0;
          options.checker.bodyStarted({ ...start, fence, worker: this.process.name });
        },
        pass: (ms) => new Promise((resolve) => this.process.setTimer(ms, resolve)),
      }),
    );
    // Some keep all that they suspend, some none, most let go of it at odd times.
    const max = cluster.random.chance(0.2) ? 0 : cluster.random.int(1, 20);
    this.#warm = new WarmExecutions(this.process, { max, keepMs: cluster.random.int(10, 60_000) });
    this.#pool = new JobPool({
      functions: new Map(this.#functions.map((fn) => [fn.id, fn])),
      jobsMax: options.jobsMax,
      turns: this.process,
      logger: silentLogger,
      gate: () => (options.planted.ignoresLeases === true ? undefined : this.#leases.gate()),
      warm: this.#warm,
    });
  }

  get id(): string {
    return this.#id;
  }

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

  kill(): void {
    if (!this.process.alive) return;
    this.#cluster.trace(`${this.process.name} killed`);
    this.process.kill();
    const { clock } = this.#cluster.options;
    clock.setTimer(this.#cluster.random.int(100, 3_000), () => this.#cluster.startWorker(this.#number));
  }

  freeze(ms: number): void {
    this.#cluster.trace(`${this.process.name} frozen for ${ms} ms`);
    this.process.freeze();
    this.#cluster.options.clock.setTimer(ms, () => {
      this.#cluster.trace(`${this.process.name} thawed`);
      this.process.thaw();
      this.#planDeath();
    });
  }

  #call<T>(work: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.#engine?.ready !== true) this.#engine = this.#cluster.anyEngine();
    const engine = this.#engine;
    if (engine === undefined) return Promise.reject(new Error('no engine is open'));
    const call = this.process.whileAlive(this.#cluster.call(this.process, engine, work));
    // After a failure another engine may be asked, as behind a balancer.
    call.catch(() => {
      if (this.#engine === engine && this.#cluster.random.chance(0.3)) this.#engine = undefined;
    });
    return call;
  }

  async #register(): Promise<void> {
    const functionVersions: Record<string, number> = {};
    for (const fn of this.#functions) {
      const { version } = await this.#call((engine) => engine.registerFunction(env, definitionOf(fn, this.#release)));
      functionVersions[fn.id] = version;
    }
    const sentAt = this.#leases.mark();
    const { leaseMs } = await this.#call((engine) =>
      engine.workers.register(env, {
        workerId: this.#id,
        hostname: 'simulated',
        functionIds: this.#functions.map(({ id }) => id),
        functionVersions,
        jobsMax: this.#cluster.options.jobsMax,
        labels: {},
        version: { sdk: '', runtime: '' },
        capabilities: [...capabilities],
        executionsKept: this.#pool.executionsKept,
        beat: this.#beats,
      }),
    );
    if (this.#pool.size === 0) this.#leases.confirmed(sentAt, leaseMs);
    else await this.#heartbeat();
  }

  async #poll(): Promise<boolean> {
    const aborted = new AbortController();
    const poll = { available: this.#pool.available, draining: false, number: ++this.#polls };
    const { lapses } = this.#leases;
    let answer: Awaited<ReturnType<Engine['workers']['poll']>>;
    try {
      answer = await this.#call((engine) => engine.workers.poll(this.#id, poll, aborted.signal));
    } catch (error) {
      aborted.abort();
      throw error;
    }
    if (answer === undefined) return false;
    const stands = this.#leases.isValid && this.#leases.lapses === lapses;
    for (const offer of stands || this.#cluster.options.planted.ignoresLeases ? answer.jobs : []) {
      const what = isContinuation(offer)
        ? `to continue with ${offer.resolutions.length} waits met`
        : `${offer.memo.length} steps done`;
      this.#cluster.trace(`${this.process.name} gets ${offer.jobId}, ${what}`);
      this.#fences.set(offer.runId, offer.fence);
      this.#pool.add(offer, {
        report: (report) => this.#report(offer.runId, report),
        whole: (jobId) => this.#whole(jobId),
      });
    }
    for (const { jobId, resolution } of answer.resolutions) this.#pool.resolve(jobId, resolution);
    for (const { jobId, message } of answer.revoked) this.#pool.drop(jobId, message);
    return true;
  }

  /** Asks for a job until an answer comes. */
  async #whole(jobId: string): Promise<Assignment | undefined> {
    while (this.#pool.has(jobId)) {
      try {
        return await this.#call((engine) => engine.workers.wholeJob(this.#id, jobId));
      } catch {
        await this.#pause(this.#cluster.random.int(20, 400));
      }
    }
    return undefined;
  }

  /** Sends a report until an answer comes, as the report queue does. */
  async #report(runId: string, report: Report): Promise<ReportAnswer> {
    for (;;) {
      try {
        this.#repeatLate(report);
        const answer = await this.#call((engine) => engine.workers.report(this.#id, report));
        this.#cluster.trace(`${this.process.name} reported ${describe(report)}: ${answer.status}`);
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

  /** The network keeps a copy of a report and delivers it later, to whichever engine: the job may have ended, or be another's. */
  #repeatLate(report: Report): void {
    const { random, faults, options } = this.#cluster;
    if (!random.chance(faults.repeatLate)) return;
    options.clock.setTimer(random.int(1, 20_000), () => {
      const target = this.#cluster.anyEngine();
      if (target === undefined) return;
      this.#cluster.count('report delivered again, late');
      this.#cluster.deliver(target, (engine) => engine.workers.report(this.#id, report)).catch(() => {}); // nobody waits for it
    });
  }

  #beat(): void {
    this.process.setTimer(2_000, () => {
      this.#beat();
      this.#heartbeat().catch(() => {});
    });
  }

  async #heartbeat(): Promise<void> {
    this.#leases.look();
    const sentAt = this.#leases.mark();
    const held = this.#pool.jobs().map(({ jobId }) => jobId);
    const said = { held, poll: this.#polls, beat: ++this.#beats };
    const lost = await this.#call((engine) => engine.workers.heartbeat(this.#id, said));
    if (lost === undefined) return;
    if (this.#cluster.options.planted.ignoresLeases !== true) {
      for (const jobId of lost) this.#pool.drop(jobId, 'its lease was lost');
    }
    this.#leases.confirmed(sentAt, this.#cluster.options.settings?.leaseMs ?? engineSettings.leaseMs ?? 0);
  }

  #planDeath(): void {
    const { workerLifeMs, freeze } = this.#cluster.faults;
    if (workerLifeMs === 0) return;
    const { random } = this.#cluster;
    this.process.setTimer(random.int(1, 2 * workerLifeMs), () => {
      if (this.#cluster.faults.workerLifeMs === 0) return;
      if (random.chance(freeze)) {
        this.#cluster.count('worker frozen');
        this.freeze(random.int(500, 20_000));
      } else {
        this.#cluster.count('worker killed');
        this.kill();
      }
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.process.setTimer(ms, resolve));
  }
}

/** A function as one release of its code registers it. */
export function definitionOf(fn: IronflowFunction, release: number) {
  return parseFunctionRegistration(registrationOf(fn, { mode: 'pull', codeHash: `${fn.id} ${release}` }));
}

function describe({ jobId, records, waits, end }: Report): string {
  const parts = [
    ...records.map(({ name, status, attempt }) => `${name}#${attempt} ${status}`),
    ...waits.map(({ kind, name }) => `${kind} ${name}`),
    ...(end ? [end.status] : []),
  ];
  return `${jobId} [${parts.join(', ')}]`;
}
