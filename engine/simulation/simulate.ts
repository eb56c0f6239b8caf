// One seed: one cluster, one set of random programs, one exact history.

import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { isEnded } from '../src/kernel/run.ts';
import { VirtualClock } from '../src/ports/virtual-clock.ts';
import { type RunRow, runs, sessions, waits } from '../src/store/tables.ts';
import { Checker } from './checker.ts';
import { Client } from './client.ts';
import { Cluster, env } from './cluster.ts';
import { calm, type Faults } from './faults.ts';
import { Operator } from './operator.ts';
import { noBug, type PlantedBug } from './planted/index.ts';
import { answerOf, drawProgram, type Program, withChildren } from './program.ts';
import { QueueChecks, RECOVERY_MS } from './queue-checks.ts';
import { Random } from './random.ts';
import { Violation } from './violation.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Called with each line of the history. */
  readonly trace?: (line: string) => void;
  /** A bug that is to be caught. */
  readonly plant?: (random: Random) => PlantedBug;
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
/** How long it goes on after the last run has ended, for what is left over to show. */
const AFTER_MS = 5_000;
/** The log's reader looks this often. */
const READ_MS = 900;
/**
 * Clocks of engines that differ by no more than a third of the lease time leave workers sure of their leases (`LeaseWatch`): two
 * clocks wrong by a sixth each.
 */
const toleratedSkewMs = 1_000;

export async function simulate({ seed, trace, plant }: SimulationOptions): Promise<SimulationResult> {
  const random = new Random(seed);
  const planted = plant?.(new Random(seed + 1)) ?? noBug;
  const clock = new VirtualClock();
  const startedAt = clock.now();
  const history = createHash('sha256');
  const programs = Array.from({ length: random.int(1, 3) }, (_, i) => drawProgram(random, `p${i}`));
  const engines = random.pick([1, 1, 2, 3]);
  const skewMs = random.chance(0.6) ? 0 : random.pick([toleratedSkewMs, 5_000]);
  const checker = new Checker({
    now: () => clock.now(),
    skewMs,
    toleratedSkewMs,
    severalEngines: (planted.engines ?? engines) > 1,
    programs,
  });
  const cluster = new Cluster({
    clock,
    random,
    checker,
    engines: planted.engines ?? engines,
    workers: random.int(1, 3),
    jobsMax: random.int(1, 4),
    programs,
    skewMs,
    planted,
    trace: (line) => {
      history.update(line);
      trace?.(line);
    },
  });
  cluster.faults = drawFaults(random, skewMs, planted);
  cluster.start();
  const client = new Client(cluster, random.fork());
  for (const program of programs) client.start(program);
  if (programs.flatMap(withChildren).some(({ secret }) => secret)) client.keepSecret(random.int(0, 40_000));
  if (random.chance(0.3)) client.deployEvery(15_000);
  client.decideEvery(4_000);
  if (random.chance(0.5)) client.meddleEvery(6_000);
  if (random.chance(0.2)) client.rushIn(STORM_MS + RECOVERY_MS + 5_000, programs, random.int(5, 12));
  if (random.chance(0.5)) new Operator(cluster, client, random.fork()).operateEvery(4_000, STORM_MS);

  const deadline = startedAt + HORIZON_MS;
  clock.setTimer(STORM_MS, () => {
    cluster.setClocksRight();
    cluster.faults = { ...calm, store: { ...calm.store, loseNews: planted.losesNews === true ? 1 : 0 } };
    cluster.trace('the storm is over');
    checker.calm();
  });
  const queues = new QueueChecks({
    mirror: checker.mirror,
    now: () => clock.now(),
    calmAt: () => checker.calmAt,
    jobsMax: cluster.options.jobsMax,
    workers: () => cluster.workers().map(({ id }) => id),
    report: (promise, what) => checker.violated(promise, what),
  });
  watchFromOutside(cluster, clock, queues);
  await clock.settle();
  for (let endAt = deadline; ; ) {
    if (checker.violations.length > 0 || !(await clock.step(endAt))) break;
    const isOver = client.isDone && checker.mirror.openRuns === 0;
    endAt = isOver ? Math.min(endAt, clock.now() + AFTER_MS) : deadline;
  }
  const rows = (await cluster.store.stored.scan({ table: runs, limit: 1_000_000 })).map(({ row }) => row);
  if (checker.violations.length === 0) {
    await checker.follow(cluster.store, env);
    await checker.compareWith(cluster.store.stored);
  }
  const wrong = checkAnswers(rows, programs, client, checker);
  const violations = [...checker.violations, ...wrong];
  const commands = cluster.engines().reduce((sum, { engine }) => sum + engine.stats.commands, cluster.commands);
  for (const { process } of [...cluster.engines(), ...cluster.workers()]) process.kill();
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

/** Beside it all, on a clock of its own: a reader of the log, and a look at what is queued. */
function watchFromOutside(cluster: Cluster, clock: VirtualClock, queues: QueueChecks): void {
  clock.setTimer(READ_MS, () => {
    watchFromOutside(cluster, clock, queues);
    queues.look();
    void cluster.options.checker.follow(cluster.store, env);
  });
}

async function stateOf(cluster: Cluster, rows: readonly RunRow[]): Promise<string[]> {
  const all = { limit: 1_000_000 };
  const [openWaits, known] = [
    await cluster.store.stored.scan({ table: waits, ...all }),
    await cluster.store.stored.scan({ table: sessions, ...all }),
  ];
  return [
    ...rows.filter((row) => !isEnded(row)).map((row) => `run ${JSON.stringify(row)}`),
    ...openWaits.map(({ row }) => `wait ${JSON.stringify(row)}`),
    ...known.map(({ row }) => `session ${row.id} heard at ${row.heartbeatAt}, expires at ${row.expiresAt}`),
  ];
}

/** Whether every run came to its end, and to the right one. */
export function checkAnswers(
  rows: readonly RunRow[],
  programs: readonly Program[],
  client: Client,
  { sagas }: Checker,
): Violation[] {
  const violations: Violation[] = [];
  const violated = (promise: string, what: string) => violations.push(new Violation(promise, what));
  const byId = new Map(programs.flatMap(withChildren).map((program) => [program.id, program]));
  for (const program of programs) {
    const started = client.runIds.get(program.id)?.size ?? 0;
    const found = rows.filter(
      ({ functionId, parentRunId, rerunOf }) => functionId === program.id && parentRunId === null && rerunOf === null,
    );
    if (found.length !== started) {
      violated('an event starts its run once', `${program.id} has ${found.length} runs for ${started} events`);
    }
  }
  for (const row of rows) {
    const program = byId.get(row.functionId);
    const willed = cancelledFrom(row, rows, client);
    const undone = willed.length > 0 && !willed.some((id) => client.leftAsIs.has(id));
    if (isEnded(row) && program !== undefined) sagas.ended(row, program, undone);
    if (!isEnded(row)) violated('every run ends', `${row.id} of ${row.functionId} is ${row.status}`);
    else if (row.status === 'cancelled') {
      // A restart gives up children that nobody waits for any more, and they take theirs with them.
      if (willed.length === 0 && !isBelowRestart(row, rows))
        violated('a run ends as a plain interpreter says', `nobody cancelled ${row.id}`);
    } else if (program !== undefined) {
      const expected = answerOf(program, row.restart !== null);
      const actual =
        row.status === 'completed'
          ? { status: row.status, output: JSON.parse(row.output ?? 'null') as unknown }
          : { status: row.status, message: (JSON.parse(row.error ?? '{}') as { message?: string }).message };
      if (isDeepStrictEqual(actual, expected)) continue;
      violated(
        'a run ends as a plain interpreter says',
        `${row.id}: ${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`,
      );
    }
  }
  return violations;
}

function isBelowRestart({ parentRunId }: RunRow, rows: readonly RunRow[]): boolean {
  const parent = rows.find(({ id }) => id === parentRunId);
  return parent !== undefined && (parent.restart !== null || isBelowRestart(parent, rows));
}

/** Runs that somebody cancelled, of which this is one or which waited for it. */
function cancelledFrom(row: RunRow, rows: readonly RunRow[], client: Client): string[] {
  const found: string[] = [];
  for (let at: RunRow | undefined = row; at !== undefined; ) {
    const { id, parentRunId }: RunRow = at;
    if (client.cancelled.has(id)) found.push(id);
    at = rows.find((one) => one.id === parentRunId);
  }
  return found;
}

function drawFaults(random: Random, skewMs: number, planted: PlantedBug): Faults {
  const rate = (most: number) => (random.chance(0.5) ? 0 : random.unit() * most);
  return {
    store: {
      killBefore: rate(0.02),
      killAfter: rate(0.02),
      failBefore: rate(0.05),
      failAfter: rate(0.05),
      failRead: rate(0.02),
      delayMs: random.chance(0.5) ? 0 : random.int(1, 50),
      loseNews: planted.losesNews === true ? 1 : rate(0.5),
    },
    loseRequest: rate(0.1),
    loseAnswer: rate(0.1),
    repeatLate: rate(0.2),
    networkMs: random.chance(0.5) ? 0 : random.int(1, 100),
    engineLifeMs: random.chance(0.5) ? 0 : random.int(2_000, 30_000),
    workerLifeMs: random.chance(0.4) ? 0 : random.int(2_000, 30_000),
    freeze: random.chance(0.5) ? 0 : 0.5,
    clockJumpMs: skewMs === 0 ? 0 : 6_000,
    ...planted.faults,
  };
}
