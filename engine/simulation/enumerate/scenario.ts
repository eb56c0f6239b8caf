// A scenario: small programs and a fixed course of events, with one right end. It is run with a plan of what goes wrong at which
// commit.

import { isDeepStrictEqual } from 'node:util';
import type { EngineSettings } from '../../src/engine.ts';
import { VirtualClock } from '../../src/ports/virtual-clock.ts';
import { type RunRow, runs } from '../../src/store/tables.ts';
import { Checker } from '../checker.ts';
import { Client } from '../client.ts';
import { Cluster, env } from '../cluster.ts';
import { calm } from '../faults.ts';
import type { PlannedFault } from '../faulty-store.ts';
import { Operator } from '../operator.ts';
import { noBug } from '../planted/index.ts';
import { type Program, withChildren } from '../program.ts';
import { Random } from '../random.ts';
import { checkAnswers } from '../simulate.ts';
import { Violation } from '../violation.ts';

/** What a scenario's course can do. Times count from when all is up, in milliseconds. */
export interface Stage {
  readonly cluster: Cluster;
  readonly client: Client;
  readonly operator: Operator;
  /** Starts a program under a key. Who comes second with the same key gets the same run. */
  begin(program: Program, key?: string): Promise<string | undefined>;
  /** Does something at a time; until it has worked, the scenario goes on. */
  at(ms: number, work: () => Promise<unknown> | undefined): void;
}

export interface Scenario {
  readonly name: string;
  readonly programs: readonly Program[];
  readonly engines?: number;
  readonly workers?: number;
  readonly jobsMax?: number;
  readonly settings?: EngineSettings;
  /** Of what is left to chance. Default 1. */
  readonly seed?: number;
  /** Longest delay of an operation of the store or the network, in milliseconds. Default: none takes any time. */
  readonly delayMs?: number;
  readonly course: (stage: Stage) => void;
  /** Ends of runs that the interpreter cannot know, by function: any of these. */
  readonly ends?: Readonly<Record<string, readonly string[]>>;
  /** Whether every run is gone in the end: purged. */
  readonly purged?: boolean;
}

export interface ScenarioResult {
  /** Commits and claims, up to the end of the last run. */
  readonly writes: number;
  readonly violations: readonly Violation[];
  readonly trace: readonly string[];
}

/** Workers have registered by then. */
const READY_MS = 3_000;
const HORIZON_MS = 12 * 60_000;
const AFTER_MS = 3_000;

export async function runScenario(
  scenario: Scenario,
  plan: ReadonlyMap<number, PlannedFault> = new Map(),
  traced = false,
): Promise<ScenarioResult> {
  const { programs, engines = 1, workers = 1, jobsMax = 4, settings, purged = false, delayMs = 0 } = scenario;
  const random = new Random(scenario.seed ?? 1);
  const clock = new VirtualClock();
  const deadline = clock.now() + HORIZON_MS;
  const checker = new Checker({ now: () => clock.now(), programs });
  const trace: string[] = [];
  const cluster = new Cluster({
    clock,
    random,
    checker,
    engines,
    workers,
    jobsMax,
    programs,
    ...(settings && { settings }),
    skewMs: 0,
    planted: noBug,
    plan,
    trace: (line) => {
      if (traced) trace.push(line);
    },
  });
  if (delayMs > 0) cluster.faults = { ...calm, store: { ...calm.store, delayMs }, networkMs: delayMs };
  checker.calm();
  cluster.start();
  const client = new Client(cluster, random.fork());
  const begun = new Map<string, Promise<string | undefined>>();
  const stage: Stage = {
    cluster,
    client,
    operator: new Operator(cluster, client, random.fork()),
    begin: (program, key = 'key') => {
      const known = begun.get(key) ?? client.begin(program, key);
      begun.set(key, known);
      return known;
    },
    at: (ms, work) => client.later(READY_MS + ms, async () => work()),
  };
  if (programs.flatMap(withChildren).some(({ secret }) => secret)) client.keepSecret(READY_MS + 700);
  client.decideEvery(2_000);
  scenario.course(stage);
  await clock.settle();
  let writes = 0;
  const isOver = () =>
    client.isDone && checker.hadRuns && checker.mirror.openRuns === 0 && (!purged || checker.mirror.runs.size === 0);
  for (let endAt = deadline, over = false; checker.violations.length === 0 && (await clock.step(endAt)); ) {
    if (!over) writes = cluster.writes;
    over = isOver();
    endAt = over ? Math.min(endAt, clock.now() + AFTER_MS) : deadline;
  }
  const rows = (await cluster.store.stored.scan({ table: runs, limit: 1_000_000 })).map(({ row }) => row);
  const violations = [...checker.violations];
  if (violations.length === 0) {
    await checker.follow(cluster.store, env);
    await checker.compareWith(cluster.store.stored);
    const ends = checkEnds(scenario, rows, client, isOver(), checker);
    violations.push(...checker.violations, ...ends);
  }
  for (const { process } of [...cluster.engines(), ...cluster.workers()]) process.kill();
  return { writes, violations, trace };
}

function checkEnds(
  scenario: Scenario,
  rows: readonly RunRow[],
  client: Client,
  isOver: boolean,
  checker: Checker,
): Violation[] {
  if (!isOver) return [new Violation('every run ends', rows.map(({ id, status }) => `${id} is ${status}`).join(', '))];
  if (scenario.purged) return rows.map(({ id }) => new Violation('what is past its retention is gone', id));
  const { ends = {}, programs } = scenario;
  const judged = rows.filter(({ functionId }) => ends[functionId] === undefined);
  const others = rows.filter(({ functionId }) => ends[functionId] !== undefined);
  const left = programs.filter(({ id }) => ends[id] === undefined);
  const violations = checkAnswers(judged, left, client, checker);
  for (const row of others) {
    const { functionId, status, output, error } = row;
    const end =
      status === 'completed'
        ? `completed ${output}`
        : `${status} ${(JSON.parse(error ?? '{}') as { code?: string }).code}`;
    if (!(ends[functionId] ?? []).some((one) => isDeepStrictEqual(one, end))) {
      violations.push(new Violation('a run ends as the scenario says', `${functionId} ${end}`));
    }
  }
  return violations;
}
