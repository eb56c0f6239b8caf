// One seed: one cluster, one set of random programs, one exact history.

import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { JsonText } from '@ironflow/core';
import { isEnded } from '../src/kernel/run.ts';
import { VirtualClock } from '../src/ports/virtual-clock.ts';
import { type RunRow, runs, sessions, waits } from '../src/store/tables.ts';
import { Checker, Violation } from './checker.ts';
import { Cluster, calm, env, type Faults } from './cluster.ts';
import { SimProcess } from './process.ts';
import { answerOf, awaitedEvents, drawProgram, type Program, type WaitNode, withChildren } from './program.ts';
import { Random } from './random.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Called with each line of the history. */
  readonly trace?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Equal for two simulations exactly when their histories are. */
  readonly historyHash: string;
  readonly simulatedMs: number;
  readonly commits: number;
  readonly commands: number;
  readonly runs: number;
  readonly bodyStarts: number;
  readonly faults: ReadonlyMap<string, number>;
  /** Rows of the runs that have not ended, of their waits and of the sessions: for a reader of a failed seed. */
  readonly state: readonly string[];
}

/** Faults happen for this long; then all runs have to come to their end. */
const STORM_MS = 60_000;
const HORIZON_MS = 4 * 3_600_000;

export async function simulate({ seed, trace }: SimulationOptions): Promise<SimulationResult> {
  const random = new Random(seed);
  const clock = new VirtualClock();
  const startedAt = clock.now();
  const checker = new Checker(() => clock.now());
  const history = createHash('sha256');
  const programs = Array.from({ length: random.int(1, 3) }, (_, i) => drawProgram(random, `p${i}`));
  const cluster = new Cluster({
    clock,
    random,
    checker,
    engines: random.pick([1, 1, 2, 3]),
    workers: random.int(1, 3),
    jobsMax: random.int(1, 4),
    programs,
    trace: (line) => {
      history.update(line);
      trace?.(line);
    },
  });
  cluster.faults = drawFaults(random);
  cluster.start();
  const client = new Client(cluster, random.fork());
  for (const program of programs) client.start(program);

  const deadline = startedAt + HORIZON_MS;
  clock.setTimer(STORM_MS, () => {
    cluster.faults = calm;
    cluster.trace('the storm is over');
  });
  await clock.settle();
  while (!(client.isDone && (await allEnded(cluster)))) {
    const next = clock.nextAt;
    if (next === undefined || next > deadline || checker.violations.length > 0) break;
    await clock.advance(next - clock.now());
  }
  const rows = (await cluster.store.scan({ table: runs, limit: 1_000_000 })).map(({ row }) => row);
  await checker.compareWith(cluster.store);
  const violations = [...checker.violations, ...checkAnswers(rows, programs, client)];
  const commands = cluster.engines().reduce((sum, { engine }) => sum + engine.stats.commands, 0);
  for (const { process } of cluster.engines()) process.kill();
  return {
    seed,
    violations,
    historyHash: history.digest('hex'),
    simulatedMs: clock.now() - startedAt,
    commits: cluster.store.commits,
    commands,
    runs: rows.length,
    bodyStarts: checker.starts,
    faults: cluster.faultCounts,
    state: violations.length === 0 ? [] : await stateOf(cluster, rows),
  };
}

async function stateOf(cluster: Cluster, rows: readonly RunRow[]): Promise<string[]> {
  const all = { limit: 1_000_000 };
  const [openWaits, known] = [
    await cluster.store.scan({ table: waits, ...all }),
    await cluster.store.scan({ table: sessions, ...all }),
  ];
  return [
    ...rows.filter((row) => !isEnded(row)).map((row) => `run ${JSON.stringify(row)}`),
    ...openWaits.map(({ row }) => `wait ${JSON.stringify(row)}`),
    ...known.map(({ row }) => `session ${row.id} heard at ${row.heartbeatAt}, expires at ${row.expiresAt}`),
  ];
}

async function allEnded(cluster: Cluster): Promise<boolean> {
  const rows = await cluster.store.scan({ table: runs, limit: 1_000_000 });
  return rows.every(({ row }) => isEnded(row));
}

function checkAnswers(rows: readonly RunRow[], programs: readonly Program[], client: Client): Violation[] {
  const violations: Violation[] = [];
  for (const row of rows) {
    if (!isEnded(row))
      violations.push(new Violation('every run ends', `${row.id} of ${row.functionId} is ${row.status}`));
  }
  for (const program of programs) {
    const expected = answerOf(program);
    const started = client.runIds.get(program.id) ?? [];
    const found = rows.filter(({ functionId, parentRunId }) => functionId === program.id && parentRunId === null);
    if (found.length !== started.length) {
      violations.push(
        new Violation(
          'an event starts its run once',
          `${program.id} has ${found.length} runs for ${started.length} events`,
        ),
      );
    }
    for (const row of found) {
      if (!isEnded(row)) continue;
      const actual =
        row.status === 'completed'
          ? { status: row.status, output: JSON.parse(row.output ?? 'null') as unknown }
          : { status: row.status, message: (JSON.parse(row.error ?? '{}') as { message?: string }).message };
      if (!isDeepStrictEqual(actual, expected)) {
        violations.push(
          new Violation(
            'a run ends as a plain interpreter says',
            `${row.id}: ${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`,
          ),
        );
      }
    }
  }
  return violations;
}

function drawFaults(random: Random): Faults {
  const rate = (most: number) => (random.chance(0.5) ? 0 : random.unit() * most);
  return {
    store: {
      killBefore: rate(0.02),
      killAfter: rate(0.02),
      failBefore: rate(0.05),
      failAfter: rate(0.05),
      delayMs: random.chance(0.5) ? 0 : random.int(1, 50),
      loseNews: rate(0.5),
    },
    loseRequest: rate(0.1),
    loseAnswer: rate(0.1),
    networkMs: random.chance(0.5) ? 0 : random.int(1, 100),
    engineLifeMs: random.chance(0.5) ? 0 : random.int(2_000, 30_000),
    workerLifeMs: random.chance(0.4) ? 0 : random.int(2_000, 30_000),
    freeze: random.chance(0.5) ? 0 : 0.5,
  };
}

/** A client that emits what starts the programs and what they wait for, again and again until it is told that it worked. */
class Client {
  readonly runIds = new Map<string, string[]>();
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #process: SimProcess;
  #open = 0;

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#process = new SimProcess('client', cluster.options.clock);
  }

  get isDone(): boolean {
    return this.#open === 0;
  }

  start(program: Program): void {
    const times = this.#random.int(1, 2);
    for (let i = 0; i < times; i++) {
      const key = `${program.id}/${i}`;
      this.#later(this.#random.int(0, 5_000), async () => {
        const { runIds } = await this.#emit(`start.${program.id}`, { key }, `start ${key}`);
        this.runIds.set(program.id, [...(this.runIds.get(program.id) ?? []), ...runIds]);
        // From here on its run exists, so its events may come: once, before it asks for them, or long after.
        for (const wait of awaitedEvents(program)) this.#send(wait, key, this.#random.int(0, 40_000));
        // When a child starts is not known here, so its events come again and again.
        for (const child of withChildren(program).slice(1)) {
          for (const wait of awaitedEvents(child)) this.#sendAgainAndAgain(wait, key, 0);
        }
      });
    }
  }

  #send(wait: WaitNode, key: string, inMs: number): void {
    this.#later(inMs, async () => {
      if (wait.matched) await this.#emit(wait.event, { key: 'another' }, `${wait.event} decoy ${key} ${inMs}`);
      await this.#emit(wait.event, { key }, `${wait.event} ${key} ${inMs}`);
    });
  }

  #sendAgainAndAgain(wait: WaitNode, key: string, round: number): void {
    if (round === 40) return;
    this.#process.setTimer(round === 0 ? this.#random.int(0, 40_000) : 120_000, () => {
      this.#send(wait, key, round);
      this.#sendAgainAndAgain(wait, key, round + 1);
    });
  }

  #later(ms: number, work: () => Promise<void>): void {
    this.#open++;
    this.#process.setTimer(ms, () => void work().finally(() => this.#open--));
  }

  async #emit(name: string, data: unknown, idempotencyKey: string): Promise<{ readonly runIds: readonly string[] }> {
    const input = {
      env,
      name,
      data: JSON.stringify(data) as JsonText,
      version: 1,
      metadata: null,
      idempotencyKey,
      source: null,
      runId: null,
    };
    for (;;) {
      try {
        const engine = this.#cluster.anyEngine();
        if (engine === undefined) throw new Error('no engine is open');
        return await this.#cluster.call(this.#process, engine, (target) => target.emit(input));
      } catch {
        await new Promise<void>((resolve) => this.#process.setTimer(this.#random.int(50, 1_000), resolve));
      }
    }
  }
}
