import { Engine, type EngineSettings } from '../src/engine.ts';
import { silentLogger } from '../src/ports/logger.ts';
import type { Cluster } from './cluster.ts';
import { FaultyStore } from './faulty-store.ts';
import { SimProcess } from './process.ts';
import { simulatedKey } from './secret.ts';

export const engineSettings: EngineSettings = {
  leaseMs: 6_000,
  reconnectMs: 1_000,
  pollMs: 4_000,
  secretKeys: [simulatedKey],
};

/** An engine process: opens, serves, has its clock set wrong, is frozen, and dies at times. */
export class EngineProcess {
  readonly process: SimProcess;
  readonly engine: Engine;
  ready = false;
  readonly #cluster: Cluster;
  readonly #slot: number;

  constructor(cluster: Cluster, slot: number) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.process = new SimProcess(`engine ${slot}`, cluster.options.clock);
    this.process.setOffset(cluster.options.planted.clockAheadMs ?? cluster.drawOffset());
    const store = new FaultyStore({
      store: cluster.store,
      process: this.process,
      random: cluster.random.fork(),
      faults: () => cluster.faults.store,
      planned: () => cluster.plannedFault(),
      kill: () => this.kill('in a commit'),
      count: (fault) => cluster.count(fault),
    });
    this.engine = new Engine({
      store,
      clock: this.process,
      ids: cluster.ids,
      logger: silentLogger,
      settings: { ...engineSettings, ...cluster.options.settings },
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
    this.#cluster.commands += this.engine.stats.commands;
    this.process.kill();
    this.#cluster.engineGone(this.#slot);
  }

  freeze(ms: number): void {
    this.#cluster.trace(`${this.process.name} frozen for ${ms} ms`);
    this.process.freeze();
    this.#cluster.options.clock.setTimer(ms, () => {
      if (!this.process.alive) return;
      this.#cluster.trace(`${this.process.name} thawed`);
      this.process.thaw();
      this.#planDeath();
    });
  }

  #planDeath(): void {
    const { engineLifeMs, freeze } = this.#cluster.faults;
    if (engineLifeMs === 0) return;
    const { random } = this.#cluster;
    this.process.setTimer(random.int(1, 2 * engineLifeMs), () => {
      if (this.#cluster.faults.engineLifeMs === 0) return;
      if (random.chance(freeze)) {
        this.#cluster.count('engine frozen');
        this.freeze(random.int(500, 20_000));
      } else {
        this.#cluster.count('engine killed');
        this.kill('at a random time');
      }
    });
  }
}
