import { checkResult, type Target } from './target.ts';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
}

/** Keeps `inFlight` calls of `work` going until `count` have been made. */
async function pool(count: number, inFlight: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (left-- > 0) await work();
    }),
  );
}

const call = async (target: Target, n: number, parallel = false) =>
  checkResult(await target.run({ n, ...(parallel && { parallel }) }), n);

export interface Sizes {
  readonly repeats: number;
  readonly runs: number;
  readonly inFlight: number;
  readonly latencies: number;
  readonly sequence: number;
}

/** Takes all figures of one target, `repeats` times each. */
export async function measure(target: Target, sizes: Sizes): Promise<Figure[]> {
  const { repeats, runs, inFlight, latencies, sequence } = sizes;
  await pool(Math.ceil(runs / 4), inFlight, () => call(target, 10)); // lets the code get warm

  const figures = new Map<string, { unit: string; values: number[] }>();
  const note = (name: string, unit: string, value: number) => {
    const figure = figures.get(name) ?? { unit, values: [] };
    figures.set(name, figure);
    figure.values.push(value);
  };

  for (let repeat = 0; repeat < repeats; repeat++) {
    const cpuBefore = target.cpuSeconds();
    const tripsBefore = target.roundTrips?.();
    const startedAt = performance.now();
    await pool(runs, inFlight, () => call(target, 10));
    const seconds = (performance.now() - startedAt) / 1_000;
    note(`durable steps/s (10-step runs, ${inFlight} in flight)`, '/s', (runs * 10) / seconds);
    if (tripsBefore !== undefined)
      note('round trips a step', '', ((target.roundTrips?.() ?? 0) - tripsBefore) / (runs * 10));
    for (const [role, used] of Object.entries(target.cpuSeconds())) {
      note(`cores used meanwhile: ${role}`, '', (used - (cpuBefore[role] ?? 0)) / seconds);
    }

    const oneStep: number[] = [];
    for (let i = 0; i < latencies; i++) {
      const at = performance.now();
      await call(target, 1);
      oneStep.push(performance.now() - at);
    }
    oneStep.sort((a, b) => a - b);
    note('one-step run, start to result, p50', 'ms', quantile(oneStep, 0.5));
    note('one-step run, start to result, p99', 'ms', quantile(oneStep, 0.99));

    const sequenceAt = performance.now();
    await call(target, sequence);
    note(`a step in a sequence of ${sequence}`, 'ms', (performance.now() - sequenceAt) / sequence);

    const fanAt = performance.now();
    await call(target, 100, true);
    note('100 parallel steps', 'ms', performance.now() - fanAt);

    const { step10, step1000 } = await target.flat();
    note('step 1,000 of a run against its step 10', '×', step1000 / step10);
  }
  return [...figures].map(([name, figure]) => ({ name, ...figure }));
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}
