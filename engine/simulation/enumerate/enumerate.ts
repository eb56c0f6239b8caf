// Crash enumeration: every scenario, with every single commit of it as the place where something goes wrong, and again with a second
// fault at every commit of the recovery.

import type { PlannedFault } from '../faulty-store.ts';
import { runScenario, type Scenario } from './scenario.ts';

const FAULTS: readonly PlannedFault[] = ['before', 'after', 'lost'];

export interface Failure {
  readonly scenario: string;
  /** Which fault at which commit or claim, counted from 1. */
  readonly plan: readonly (readonly [number, PlannedFault])[];
  readonly message: string;
}

export interface Enumerated {
  readonly scenario: string;
  /** Commits and claims without a fault. */
  readonly writes: number;
  readonly single: number;
  readonly double: number;
  readonly failures: readonly Failure[];
}

/** @param pairsMax - Second faults tried, at most, spread evenly over all pairs; 0 for none. */
export async function enumerateCrashes(scenario: Scenario, pairsMax: number): Promise<Enumerated> {
  const failures: Failure[] = [];
  const tryPlan = async (...plan: readonly (readonly [number, PlannedFault])[]): Promise<number> => {
    const { writes, violations } = await runScenario(scenario, new Map(plan));
    const [first] = violations;
    if (first !== undefined) failures.push({ scenario: scenario.name, plan, message: first.message });
    return writes;
  };
  const writes = await tryPlan();
  const pairs: (readonly [readonly [number, PlannedFault], readonly [number, PlannedFault]])[] = [];
  let single = 0;
  for (let at = 1; at <= writes; at++) {
    for (const fault of FAULTS) {
      const recovered = await tryPlan([at, fault]);
      single++;
      for (let again = at + 1; again <= recovered; again++) {
        for (const second of FAULTS)
          pairs.push([
            [at, fault],
            [again, second],
          ]);
      }
    }
  }
  const chosen = spread(pairs, pairsMax);
  for (const pair of chosen) await tryPlan(...pair);
  return { scenario: scenario.name, writes, single, double: chosen.length, failures };
}

function spread<T>(items: readonly T[], countMax: number): T[] {
  if (items.length <= countMax) return [...items];
  return Array.from({ length: countMax }, (_, i) => items[Math.floor((i * items.length) / countMax)] as T); // the index is below the length
}
