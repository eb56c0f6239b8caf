// A race trial: runs that come to wait for events about when these are emitted, while engines are killed between a commit and its
// answer. Whatever the order was, every run gets its own event, once, and every intention becomes one event.

import { runScenario, type Scenario, type ScenarioResult } from '../enumerate/scenario.ts';
import type { PlannedFault } from '../faulty-store.ts';
import type { Node, Program, WaitNode } from '../program.ts';
import { Random } from '../random.ts';

/** Longest time by which an emit and its wait are apart, in milliseconds; operations take up to a tenth of it. */
const APART_MS = 30;
/** A trial has about as many commits before its runs have ended. */
const WRITES = 40;

export interface Trial {
  readonly scenario: Scenario;
  readonly plan: ReadonlyMap<number, PlannedFault>;
}

/** One seed is one exact course, and one exact plan of what goes wrong. */
export function trialOf(seed: number): Trial {
  const random = new Random(seed);
  const waits = Array.from(
    { length: random.int(1, 2) },
    (_, i): WaitNode => ({ kind: 'wait', name: `for-${i}`, event: `answer-${i}`, sent: 'always', matched: true }),
  );
  const program: Program = { id: 'racer', maxAttempts: 3, nodes: [...before(random), ...asked(waits, random)] };
  const keys = Array.from({ length: random.int(1, 4) }, (_, i) => `key-${i}`);
  const scenario: Scenario = {
    name: `race ${seed}`,
    programs: [program],
    engines: random.int(1, 2),
    workers: random.int(1, 2),
    seed,
    delayMs: APART_MS / 10,
    course({ at, begin, client }) {
      for (const key of keys) {
        at(0, () => begin(program, key));
        for (const { event } of waits) {
          const ms = random.int(0, APART_MS);
          // Twice with one intention, as a caller does that was not answered: one event.
          for (const again of random.chance(0.3) ? [0, random.int(0, 5)] : [0]) {
            at(ms + again, async () => {
              await begin(program, key); // an event that comes before the run is none of its own
              await client.emit(event, { key }, `${event} ${key}`);
            });
          }
        }
      }
    },
  };
  return { scenario, plan: drawPlan(random) };
}

export function race(seed: number, traced = false): Promise<ScenarioResult> {
  const { scenario, plan } = trialOf(seed);
  return runScenario(scenario, plan, traced);
}

/** What a run does before it asks, so that its wait begins a little later than it. */
function before(random: Random): Node[] {
  const drawn = random.unit();
  if (drawn < 0.4) return [];
  if (drawn < 0.7) return [{ kind: 'sleep', name: 'nap', ms: random.int(1, APART_MS), until: false }];
  const bodyMs = random.int(0, APART_MS);
  return [{ kind: 'step', name: 'work', failures: 0, end: 'value', value: 7, bodyMs }];
}

/** One wait after the other, or all at once. */
function asked(waits: readonly WaitNode[], random: Random): Node[] {
  if (waits.length === 1 || random.chance(0.5)) return [...waits];
  const branches = waits.map((wait) => [wait]);
  return [{ kind: 'parallel', name: 'both', branches, concurrency: undefined, settle: false, map: false }];
}

/** One to three crashes: most of them when a commit has taken place and nobody has been answered yet. */
function drawPlan(random: Random): ReadonlyMap<number, PlannedFault> {
  const faults = Array.from({ length: random.int(1, 3) }, (): [number, PlannedFault] => [
    random.int(1, WRITES),
    random.pick(['after', 'after', 'after', 'lost', 'before'] as const),
  ]);
  return new Map(faults);
}
