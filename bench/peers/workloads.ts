// What is measured. Every workload checks each result and returns plain figures; the observer adds CPU and memory.

import type { Contender } from './contender.ts';
import { sleep } from './processes.ts';
import { checkFlat, checkLarge, checkStamps, checkSteps, type WorkflowKind } from './workflow-kinds.ts';

export interface Sizes {
  /** How long W1, W9 and Q1 go on, in seconds. */
  readonly seconds: number;
  /** Runs under way at a time in W1, in the start of sleepers, and in Q1. */
  readonly inFlight: number;
  /** Runs one after the other in W2 and W7, and in each half of W8. */
  readonly latencies: number;
  /** Steps of W3's run. */
  readonly sequence: number;
  /** Steps at once in W4's runs. */
  readonly fan: number;
  /** Runs of W5, and how long they sleep. */
  readonly sleepers: number;
  readonly sleepMs: number;
  /** Steps of W6's run. */
  readonly flat: number;
  /** Of a step's output in W9. */
  readonly largeBytes: number;
  /** Runs that sleep in W10, and how long nothing else happens. */
  readonly idleSleepers: number;
  readonly idleSeconds: number;
}

export type Figures = Readonly<Record<string, number>>;

/** A moment inside a workload at which the observer looks at memory and CPU. */
export type Moment = 'awake' | 'asleep' | 'still asleep';

export interface Bench {
  readonly contender: Contender;
  readonly sizes: Sizes;
  /** A new key for a run. */
  key(): string;
  /** Has the observer look; resolves when it has. */
  look(moment: Moment): Promise<void>;
}

export interface Workload {
  readonly title: string;
  readonly kinds: readonly WorkflowKind[];
  /** The figures of the table, in its order, with what stands above them. */
  readonly columns: Readonly<Record<string, string>>;
  /** Queues know jobs of one step and nothing else. */
  readonly forQueues?: 'too' | 'only';
  /** Beyond what every workload may take, in seconds. */
  readonly seconds?: (sizes: Sizes) => number;
  run(bench: Bench): Promise<Figures>;
}

export const workloads: Readonly<Record<string, Workload>> = {
  W1: {
    title: '10-step runs under concurrency',
    kinds: ['seq'],
    columns: {
      stepsPerSecond: 'steps/s',
      stepsPerCpuSecond: 'steps a CPU second',
      p50Ms: 'run p50, ms',
      p99Ms: 'p99, ms',
    },
    async run({ contender, sizes, key }) {
      const took: number[] = [];
      const seconds = await keepUp(sizes.seconds, sizes.inFlight, async () => {
        const startedAt = performance.now();
        checkSteps(await resultOf(contender, 'seq', 10, key()), 10, 'W1');
        took.push(performance.now() - startedAt);
      });
      return { runs: took.length, stepsPerSecond: (took.length * 10) / seconds, ...latencyOf(took) };
    },
  },
  W2: {
    title: 'one-step run, start to result, one at a time',
    kinds: ['seq'],
    columns: { p50Ms: 'p50, ms', p95Ms: 'p95, ms', p99Ms: 'p99, ms' },
    forQueues: 'too',
    async run({ contender, sizes, key }) {
      const took = await oneByOne(sizes.latencies, async () => {
        const startedAt = performance.now();
        checkSteps(await resultOf(contender, 'seq', 1, key()), 1, 'W2');
        return performance.now() - startedAt;
      });
      return latencyOf(took);
    },
  },
  W3: {
    title: 'one run of sequential steps',
    kinds: ['seq'],
    columns: { msPerStep: 'ms a step' },
    async run({ contender, sizes, key }) {
      checkSteps(await resultOf(contender, 'seq', 20, key()), 20, 'W3');
      const startedAt = performance.now();
      checkSteps(await resultOf(contender, 'seq', sizes.sequence, key()), sizes.sequence, 'W3');
      return { msPerStep: (performance.now() - startedAt) / sizes.sequence };
    },
  },
  W4: {
    title: 'one run of parallel steps',
    kinds: ['fan'],
    columns: { p50Ms: 'p50, ms', maxMs: 'max, ms' },
    async run({ contender, sizes, key }) {
      const took = await oneByOne(10, async () => {
        const startedAt = performance.now();
        checkSteps(await resultOf(contender, 'fan', sizes.fan, key()), sizes.fan, 'W4');
        return performance.now() - startedAt;
      });
      return latencyOf(took);
    },
  },
  W5: {
    title: 'runs that sleep',
    kinds: ['nap'],
    columns: {
      startMs: 'all started after, ms',
      lateP50Ms: 'woke late by p50, ms',
      lateMaxMs: 'max, ms',
      overMs: 'last result after the sleep, ms',
    },
    async run({ contender, sizes, key, look }) {
      const startedAt = performance.now();
      const started = await startAll(contender, sizes.sleepers, sizes.inFlight, sizes.sleepMs, key);
      const startMs = performance.now() - startedAt;
      await sleep(Math.max(0, sizes.sleepMs * 0.5 - startMs));
      await look('asleep');
      const late = await lateness(started, sizes.inFlight, sizes.sleepMs, 'W5');
      return { startMs, ...late, overMs: performance.now() - startedAt - sizes.sleepMs };
    },
  },
  W6: {
    title: 'late steps of a long run against its early ones',
    kinds: ['flat'],
    columns: { ratio: 'late ÷ early', earlyMs: 'early, ms a step', lateMs: 'late, ms a step' },
    async run({ contender, sizes, key }) {
      checkFlat(await resultOf(contender, 'flat', 200, key()), 200, 'W6');
      const { early, late } = checkFlat(await resultOf(contender, 'flat', sizes.flat, key()), sizes.flat, 'W6');
      const [earlyMs, lateMs] = [quantile(early, 0.5), quantile(late, 0.5)];
      return { earlyMs, lateMs, ratio: lateMs / earlyMs };
    },
  },
  W7: {
    title: 'from the call that starts a run to its first step',
    kinds: ['first'],
    columns: { p50Ms: 'p50, ms', p99Ms: 'p99, ms' },
    async run({ contender, sizes, key }) {
      const took = await oneByOne(sizes.latencies, async () => {
        const startedAt = now();
        const [at = Number.NaN] = checkStamps(await resultOf(contender, 'first', 0, key()), 1, 'W7');
        return at - startedAt;
      });
      return latencyOf(took);
    },
  },
  W8: {
    title: 'from the end of a wait to the next step',
    kinds: ['nap'],
    columns: {
      answerP50Ms: 'answered, p50, ms',
      answerP99Ms: 'p99, ms',
      lateP50Ms: 'after a sleep of 100 ms, p50, ms',
      lateMaxMs: 'max, ms',
    },
    async run(bench) {
      return { ...(await afterAnswers(bench)), ...(await afterShortSleeps(bench)) };
    },
  },
  W9: {
    title: 'runs with a large output',
    kinds: ['large'],
    columns: { runsPerSecond: 'runs/s', mibPerSecond: 'MiB/s', p50Ms: 'run p50, ms' },
    async run({ contender, sizes, key }) {
      const took: number[] = [];
      const seconds = await keepUp(sizes.seconds, Math.min(sizes.inFlight, 50), async () => {
        const startedAt = performance.now();
        checkLarge(await resultOf(contender, 'large', sizes.largeBytes, key()), sizes.largeBytes, 'W9');
        took.push(performance.now() - startedAt);
      });
      const runsPerSecond = took.length / seconds;
      return { runsPerSecond, mibPerSecond: (runsPerSecond * sizes.largeBytes) / 2 ** 20, ...latencyOf(took) };
    },
  },
  W10: {
    title: 'idle with sleeping runs',
    kinds: ['nap'],
    columns: {
      startMs: 'all asleep after, ms',
      lateP50Ms: 'woke late by p50, ms',
      lateP99Ms: 'p99, ms',
      lateMaxMs: 'max, ms',
    },
    seconds: ({ idleSeconds }) => 2 * idleSeconds + 60,
    async run({ contender, sizes, key, look }) {
      const { idleSleepers, idleSeconds, inFlight } = sizes;
      // As many as will sleep have run once, so that heaps and caches have grown to what the load asks for.
      await lateness(await startAll(contender, idleSleepers, inFlight, 1, key), inFlight, 1, 'W10');
      await sleep(3_000);
      await look('awake');
      const sleepMs = (idleSeconds * 1.5 + 10) * 1_000;
      const startedAt = performance.now();
      const started = await startAll(contender, idleSleepers, inFlight, sleepMs, key);
      const startMs = performance.now() - startedAt;
      await sleep(3_000);
      await look('asleep');
      await sleep(Math.max(1_000, Math.min(idleSeconds * 1_000, sleepMs - 5_000 - (performance.now() - startedAt))));
      await look('still asleep');
      return { startMs, ...(await lateness(started, inFlight, sleepMs, 'W10')) };
    },
  },
  Q1: {
    title: 'jobs of one step under concurrency',
    kinds: ['seq'],
    columns: { jobsPerSecond: 'jobs/s', p50Ms: 'p50, ms' },
    forQueues: 'too',
    async run({ contender, sizes, key }) {
      const took: number[] = [];
      const seconds = await keepUp(
        sizes.seconds,
        sizes.inFlight,
        async () => {
          const startedAt = performance.now();
          checkSteps(await resultOf(contender, 'seq', 1, key()), 1, 'Q1');
          took.push(performance.now() - startedAt);
        },
        contender.settled?.bind(contender),
      );
      return { jobsPerSecond: took.length / seconds, ...latencyOf(took) };
    },
  },
  Q2: {
    title: 'jobs of one step, added 500 in one call',
    kinds: ['seq'],
    columns: { jobsPerSecond: 'jobs/s' },
    forQueues: 'only',
    async run({ contender, sizes, key }) {
      const { startMany } = contender;
      if (startMany === undefined) return {};
      let jobs = 0;
      const seconds = await keepUp(
        sizes.seconds,
        10,
        async () => {
          const outcomes = await startMany(Array.from({ length: 500 }, key));
          for (const outcome of outcomes) checkSteps(await outcome, 1, 'Q2');
          jobs += outcomes.length;
        },
        contender.settled?.bind(contender),
      );
      return { jobsPerSecond: jobs / seconds };
    },
  },
};

/** Lets code get warm, files grow and connections open: what every contender does before it is measured. */
export async function warmUp({ contender, sizes, key }: Bench, isQueue: boolean): Promise<void> {
  const steps = isQueue ? 1 : 10;
  await keepUp(Math.min(2, sizes.seconds), sizes.inFlight, async () => {
    checkSteps(await resultOf(contender, 'seq', steps, key()), steps, 'warm-up');
  });
}

/** The clock that `stamped` reads too. */
const now = () => performance.timeOrigin + performance.now();

async function resultOf(contender: Contender, kind: WorkflowKind, argument: number, key: string): Promise<unknown> {
  return (await contender.start(kind, argument, key)).result();
}

type Napping = Awaited<ReturnType<Contender['start']>>;

async function startAll(
  contender: Contender,
  count: number,
  inFlight: number,
  ms: number,
  key: () => string,
): Promise<Napping[]> {
  const started: Napping[] = [];
  await pool(count, inFlight, async () => void started.push(await contender.start('nap', ms, key())));
  return started;
}

/** Some engines count a sleep from the millisecond it began in. */
const EARLY_MS_MAX = 2;

/** How much later than asked those that nap went on. */
async function lateness(started: readonly Napping[], inFlight: number, ms: number, what: string): Promise<Figures> {
  const late: number[] = [];
  await pool(started.length, inFlight, async (i) => {
    const [before = Number.NaN, after = Number.NaN] = checkStamps(await started[i]?.result(), 2, what);
    late.push(after - before - ms);
  });
  const early = Math.min(...late);
  if (early < -EARLY_MS_MAX) throw new Error(`${what}: one woke ${-early} ms early`);
  return {
    lateP50Ms: quantile(late, 0.5),
    lateP99Ms: quantile(late, 0.99),
    lateMaxMs: quantile(late, 1),
  };
}

/** Runs that wait are answered one by one; they have waited for half a second, in which an engine may put them aside. */
async function afterAnswers({ contender, sizes, key }: Bench): Promise<Figures> {
  const { deliver } = contender;
  if (deliver === undefined) return {};
  const keys = Array.from({ length: Math.min(sizes.latencies, 50) }, key);
  const waiting = await Promise.all(keys.map((one) => contender.start('wait', 0, one)));
  await sleep(500);
  const took: number[] = [];
  for (const [i, one] of keys.entries()) {
    const answeredAt = now();
    await deliver(one);
    const [at = Number.NaN] = checkStamps(await waiting[i]?.result(), 1, 'W8');
    took.push(at - answeredAt);
  }
  return { answerP50Ms: quantile(took, 0.5), answerP99Ms: quantile(took, 0.99) };
}

async function afterShortSleeps({ contender, sizes, key }: Bench): Promise<Figures> {
  const started: Napping[] = [];
  for (let i = 0; i < Math.min(sizes.latencies, 50); i++) {
    started.push(await contender.start('nap', 100, key()));
    await sleep(20);
  }
  return lateness(started, started.length, 100, 'W8');
}

async function pool(count: number, inFlight: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < count; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane));
}

/** Keeps `inFlight` calls of `work` going for so many seconds; the seconds until the last of them was done. */
async function keepUp(
  seconds: number,
  inFlight: number,
  work: () => Promise<void>,
  settled?: () => Promise<void>,
): Promise<number> {
  const startedAt = performance.now();
  const lane = async () => {
    while (performance.now() - startedAt < seconds * 1_000) await work();
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  await settled?.();
  return (performance.now() - startedAt) / 1_000;
}

/** Longest that calls one after the other go on, in milliseconds: some engines take a second for one. */
const ONE_BY_ONE_MS = 20_000;

async function oneByOne(count: number, work: () => Promise<number>): Promise<number[]> {
  const startedAt = performance.now();
  const figures: number[] = [];
  while (figures.length < count && performance.now() - startedAt < ONE_BY_ONE_MS) figures.push(await work());
  return figures;
}

function latencyOf(took: readonly number[]): Figures {
  return {
    p50Ms: quantile(took, 0.5),
    p95Ms: quantile(took, 0.95),
    p99Ms: quantile(took, 0.99),
    maxMs: quantile(took, 1),
  };
}

/** Between two values, in proportion. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}
