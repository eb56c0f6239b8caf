// What the outside does: a client that emits, cancels and deploys again and again until it is told that it worked, and a meddler
// that sends what nobody may send.

import type { JsonText } from '@ironflow/core';
import type { Report } from '@ironflow/core/wire';
import type { StepDecision } from '../src/commands/decide-step.ts';
import type { Engine } from '../src/engine.ts';
import { isEnded, jobIdOf } from '../src/kernel/run.ts';
import { type Cluster, env } from './cluster.ts';
import { compile } from './compile.ts';
import type { Emitted } from './log-checks.ts';
import { SimProcess } from './process.ts';
import { awaitedEvents, onceSteps, type Program, type WaitNode, withChildren } from './program.ts';
import type { Random } from './random.ts';
import { secretName, secretValues } from './secret.ts';
import { definitionOf } from './worker-process.ts';

export class Client {
  /** Runs that were started by an event, by their program. */
  readonly runIds = new Map<string, Set<string>>();
  /** Runs that somebody wanted to be cancelled. */
  readonly cancelled = new Set<string>();
  /** Those of them in which nothing needs to be undone. */
  readonly leftAsIs = new Set<string>();
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #process: SimProcess;
  #open = 0;
  #secret: string | undefined;

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#process = new SimProcess('client', cluster.options.clock);
  }

  /** A value that the secret has, or had. */
  get secret(): string | undefined {
    return this.#secret;
  }

  /** Whether all that it set out to do is done. */
  get isDone(): boolean {
    return this.#open === 0;
  }

  /** Starts a program once or twice, some of it twice with the same intention, and sends what its runs wait for. */
  start(program: Program): void {
    const times = this.#random.int(1, 2);
    for (let i = 0; i < times; i++) this.#startIn(this.#random.int(0, 5_000), program, `${program.id}/${i}`);
  }

  /** Starts programs many times at once, in some time: more than the workers have room for. */
  rushIn(ms: number, programs: readonly Program[], times: number): void {
    for (let i = 0; i < times; i++)
      for (const program of programs) this.#startIn(ms + this.#random.int(0, 50), program, `${program.id}/rush ${i}`);
  }

  #startIn(ms: number, program: Program, key: string): void {
    this.later(ms, async () => {
      const runId = await this.begin(program, key);
      if (this.#random.chance(0.3)) this.later(this.#random.int(0, 20_000), () => this.begin(program, key));
      if (runId === undefined) return; // no worker had registered the program yet
      if (this.#random.chance(0.15)) this.later(this.#random.int(0, 30_000), () => this.cancel(runId));
      // From here on its run exists, so its events may come: once, before it asks for them, or long after.
      for (const wait of awaitedEvents(program)) this.#send(wait, key, this.#sendInMs(wait));
      // When a child starts is not known here, so its events come again and again.
      for (const child of withChildren(program).slice(1)) {
        for (const wait of awaitedEvents(child)) this.#sendAgainAndAgain(wait, key, 0);
      }
    });
  }

  /** Sets the secret that programs are given, and sets it anew after a while: jobs of before have the old value still. */
  keepSecret(rotateInMs: number): void {
    this.later(0, async () => {
      await this.untilDone((engine) => engine.setSecret(env, secretName, secretValues[0]));
      this.#secret = secretValues[0];
      this.later(rotateInMs, () => this.untilDone((engine) => engine.setSecret(env, secretName, secretValues[1])));
    });
  }

  /** Registers a new release of all functions now and then. Workers that start from here on have it. */
  deployEvery(meanMs: number): void {
    this.#process.setTimer(this.#random.int(1, 2 * meanMs), () => {
      if (this.#cluster.faults.workerLifeMs === 0) return;
      this.deployEvery(meanMs);
      this.deploy();
    });
  }

  deploy(): void {
    const release = ++this.#cluster.release;
    this.#cluster.count('release deployed');
    this.later(0, async () => {
      for (const program of this.#cluster.options.programs) {
        for (const fn of compile(program, { bodyStarted: () => {}, pass: async () => {} })) {
          await this.untilDone((engine) => engine.registerFunction(env, definitionOf(fn, release)));
        }
      }
    });
  }

  /** Reports under leases that are not the sender's. */
  meddleEvery(meanMs: number): void {
    this.#process.setTimer(this.#random.int(1, 2 * meanMs), () => {
      if (this.#cluster.faults.loseRequest === 0) return;
      this.meddleEvery(meanMs);
      void this.meddle().catch(() => {}); // a fault came in between
    });
  }

  async meddle(): Promise<void> {
    const { checker } = this.#cluster.options;
    const engine = this.#cluster.anyEngine();
    const known = [...checker.mirror.runs.values()];
    if (engine === undefined || known.length === 0) return;
    const { id, fence, leaseSession, leaseToken } = this.#random.pick(known);
    const [what, session, asFence, token] = this.#random.pick([
      ['a wrong token', leaseSession ?? 'worker_none', fence, 'x'],
      ['another session', 'worker_none', fence, leaseToken ?? 'x'],
      ['an old fence', leaseSession ?? 'worker_none', fence - 1, leaseToken ?? 'x'],
      ['a fence to come', leaseSession ?? 'worker_none', fence + 1, leaseToken ?? 'x'],
    ] as const);
    const report: Report = {
      jobId: this.#random.chance(0.1) ? 'nonsense' : jobIdOf(id, asFence),
      fence: asFence,
      leaseToken: token,
      seenWakes: 0,
      records: [
        {
          stepId: `${id}:meddled:0`,
          name: 'meddled',
          kind: 'run',
          attempt: 1,
          wake: 0,
          sequence: 1,
          startedAt: 0,
          endedAt: 0,
          status: 'completed',
        },
      ],
      waits: [],
      end: { status: 'completed', output: { text: '"meddled"' as JsonText } },
    };
    this.#cluster.count('report from nobody');
    const answer = await this.#cluster.call(this.#process, engine, (target) => target.workers.report(session, report));
    checker.meddled(`${what} for ${id}`, answer.status);
  }

  /** Emits the event that starts a program. Returns its run, if the program was known. */
  async begin(program: Program, key: string): Promise<string | undefined> {
    const { runIds } = await this.emit(`start.${program.id}`, { key }, `start ${key}`);
    const known = this.runIds.get(program.id) ?? new Set();
    this.runIds.set(program.id, known);
    for (const runId of runIds) known.add(runId);
    return runIds[0];
  }

  async cancel(runId: string, compensate = this.#random.chance(0.5)): Promise<void> {
    this.cancelled.add(runId);
    if (!compensate) this.leftAsIs.add(runId);
    const { status } = await this.untilDone((engine) =>
      engine.operations.cancel(env, runId, { reason: 'of no use any more', compensate }),
    );
    this.#cluster.trace(`cancelled ${runId}: it is ${status}`);
    if (!isEnded({ status } as Parameters<typeof isEnded>[0])) return;
    this.#cluster.options.checker.endTold(runId, status);
  }

  /** Now and then an operator decides what became of steps that must not run twice. */
  decideEvery(ms: number): void {
    this.#process.setTimer(ms, () => {
      this.decideEvery(ms);
      void this.#decideAll();
    });
  }

  async #decideAll(): Promise<void> {
    const { programs, checker } = this.#cluster.options;
    const values = new Map(
      programs.flatMap(withChildren).map((program) => [program.id, onceSteps(program, this.secret)]),
    );
    for (const [runId, open] of checker.mirror.waits) {
      for (const { kind, stepId, name } of [...open.values()]) {
        if (kind !== 'decision') continue;
        const value = values.get(checker.mirror.runs.get(runId)?.functionId ?? '')?.get(name);
        const decision: StepDecision =
          value === undefined || this.#random.chance(0.5)
            ? { kind: 'again' }
            : { kind: 'output', output: JSON.stringify(value) as JsonText };
        const engine = this.#cluster.anyEngine();
        if (engine === undefined) continue;
        this.#cluster.count(`operator decided: ${decision.kind}`);
        await this.#cluster
          .call(this.#process, engine, (target) => target.decideStep(env, runId, stepId, decision))
          .catch(() => {}); // somebody decided before, or the engine died: it is looked at again
      }
    }
  }

  async emit(name: string, data: { readonly key: string }, idempotencyKey: string): Promise<Emitted> {
    const input = {
      env,
      name,
      data: JSON.stringify({ ...data, intention: idempotencyKey }) as JsonText,
      version: 1,
      metadata: null,
      idempotencyKey,
      source: null,
      runId: null,
    };
    const emitted = await this.untilDone((engine) => engine.emit(input));
    this.#cluster.options.checker.emitted(idempotencyKey, emitted);
    return emitted;
  }

  /** Does something at a later time; until it has worked, the client is not done. */
  later(ms: number, work: () => Promise<unknown>): void {
    this.#open++;
    this.#process.setTimer(ms, () => void work().finally(() => this.#open--));
  }

  /** Around the time at which a wait that may or may not be met is over; any time, else. */
  #sendInMs(wait: WaitNode): number {
    return wait.sent === 'perhaps' ? this.#random.int(0, 15_000) : this.#random.int(0, 40_000);
  }

  #send(wait: WaitNode, key: string, inMs: number): void {
    this.later(inMs, async () => {
      if (wait.matched) await this.emit(wait.event, { key: 'another' }, `${wait.event} decoy ${key} ${inMs}`);
      await this.emit(wait.event, { key }, `${wait.event} ${key} ${inMs}`);
    });
  }

  #sendAgainAndAgain(wait: WaitNode, key: string, round: number): void {
    if (round === 40) return;
    this.#process.setTimer(round === 0 ? this.#random.int(0, 40_000) : 30_000, () => {
      this.#send(wait, key, round);
      this.#sendAgainAndAgain(wait, key, round + 1);
    });
  }

  /** Asks one engine after another until one answers. */
  async untilDone<T>(work: (engine: Engine) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const engine = this.#cluster.anyEngine();
        if (engine === undefined) throw new Error('no engine is open');
        return await this.#cluster.call(this.#process, engine, work);
      } catch {
        await new Promise<void>((resolve) => this.#process.setTimer(this.#random.int(50, 1_000), resolve));
      }
    }
  }
}
