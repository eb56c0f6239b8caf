// A cluster in one process: engines, workers and a client, on one store and one clock, with faults between all of them.

import type { Engine, EngineSettings } from '../src/engine.ts';
import type { Timer } from '../src/ports/clock.ts';
import { createIds } from '../src/ports/ids.ts';
import type { VirtualClock } from '../src/ports/virtual-clock.ts';
import type { Checker } from './checker.ts';
import { EngineProcess } from './engine-process.ts';
import { calm, type Faults } from './faults.ts';
import type { PlannedFault } from './faulty-store.ts';
import { ObservedStore } from './observed-store.ts';
import type { PlantedBug } from './planted/index.ts';
import type { SimProcess } from './process.ts';
import type { Program } from './program.ts';
import type { Random } from './random.ts';
import { WorkerProcess } from './worker-process.ts';

export const env = 'default';

export interface ClusterOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly checker: Checker;
  readonly engines: number;
  readonly workers: number;
  readonly jobsMax: number;
  readonly programs: readonly Program[];
  readonly settings?: EngineSettings;
  /** How far clocks are set wrong at most, either way, in milliseconds. */
  readonly skewMs: number;
  /** A bug in a build that is to be caught; an empty one otherwise. */
  readonly planted: PlantedBug;
  /** What is to go wrong at which commit or claim, counted from 1 over all engines. */
  readonly plan?: ReadonlyMap<number, PlannedFault>;
  readonly trace: (line: string) => void;
}

const RESTART_MS = 800;
/** A caller gives up after this long without an answer; longer than a poll is held. */
const CALL_TIMEOUT_MS = 9_000;

export class Cluster {
  readonly options: ClusterOptions;
  readonly store: ObservedStore;
  readonly faultCounts = new Map<string, number>();
  readonly random: Random;
  readonly ids: ReturnType<typeof createIds>;
  readonly #engines: (EngineProcess | undefined)[];
  readonly #workers: WorkerProcess[] = [];
  #faults: Faults = calm;
  /** The newest release of the functions' code: workers that start have it. */
  release = 1;
  /** Commits and claims that engines began. */
  writes = 0;
  /** Commands of engines that are gone. */
  commands = 0;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.random = options.random;
    const { checker, planted } = options;
    this.store = new ObservedStore(checker, { exclusive: options.engines === 1, planted });
    const idRandom = this.random.fork();
    this.ids = createIds((bytes) => idRandom.fillBytes(bytes));
    this.#engines = Array.from({ length: options.engines }, () => undefined);
  }

  get faults(): Faults {
    return this.#faults;
  }

  set faults(faults: Faults) {
    this.#faults = faults;
    if (faults.clockJumpMs > 0) this.#planJump();
  }

  /** What is to go wrong at the commit or claim that is about to be made. */
  plannedFault(): PlannedFault | undefined {
    return this.options.plan?.get(++this.writes);
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
    for (let number = 0; number < this.options.workers; number++) this.startWorker(number);
  }

  startEngine(slot: number): void {
    const engine = new EngineProcess(this, slot);
    this.#engines[slot] = engine;
    engine.open();
  }

  startWorker(number: number): void {
    const worker = new WorkerProcess(this, number);
    this.#workers[number] = worker;
    void worker.run();
  }

  engineGone(slot: number): void {
    this.#engines[slot] = undefined;
    this.options.clock.setTimer(RESTART_MS, () => this.startEngine(slot));
  }

  /** An engine that answers, if there is one. A frozen one is taken for one that does. */
  anyEngine(): EngineProcess | undefined {
    const open = this.#engines.filter((engine) => engine?.ready === true);
    return open.length === 0 ? undefined : this.random.pick(open);
  }

  engines(): EngineProcess[] {
    return this.#engines.filter((engine) => engine !== undefined);
  }

  workers(): readonly WorkerProcess[] {
    return this.#workers;
  }

  /** How wrong a clock is from now on. */
  drawOffset(): number {
    const { skewMs } = this.options;
    return this.faults.clockJumpMs === 0 ? 0 : this.random.int(-skewMs, skewMs);
  }

  /** As a time server does: clocks that differ by more than a lease for good would end every lease as it is renewed. */
  setClocksRight(): void {
    for (const { process } of [...this.engines(), ...this.#workers])
      process.setOffset(this.options.planted.clockAheadMs ?? 0);
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
    const timeout = Promise.withResolvers<never>();
    const timer: Timer = caller.setTimer(CALL_TIMEOUT_MS, () => timeout.reject(new Error('no answer in time')));
    let answer: T;
    try {
      const answered = Promise.race([engine.process.answer(this.deliver(engine, work)), timeout.promise]);
      answer = await caller.whileAlive(answered);
    } finally {
      timer.cancel();
    }
    await this.#travel(caller);
    if (this.random.chance(loseAnswer)) {
      this.count('answer lost');
      throw new Error('no answer');
    }
    return answer;
  }

  /** A request arrives: it waits while the engine is frozen. */
  async deliver<T>({ engine, process }: EngineProcess, work: (engine: Engine) => Promise<T>): Promise<T> {
    if (process.isFrozen) await process.awake();
    return work(engine);
  }

  async #travel(caller: SimProcess): Promise<void> {
    const { networkMs } = this.faults;
    if (networkMs === 0 || this.random.chance(0.5)) return;
    await new Promise<void>((resolve) => caller.setTimer(this.random.int(1, networkMs), resolve));
  }

  #planJump(): void {
    this.options.clock.setTimer(this.random.int(1, 2 * this.faults.clockJumpMs), () => {
      if (this.faults.clockJumpMs === 0) return;
      const { process } = this.random.pick([...this.engines(), ...this.#workers]);
      process.setOffset(this.drawOffset());
      this.count('clock jumped');
      this.#planJump();
    });
  }
}
