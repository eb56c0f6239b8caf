// A planted bug: what goes wrong, and which check must say so. It is put in from outside (the store, a clock, a worker's care), so that
// the engine has no test switches in it.

import type { Claim, CommitResult, Scan, Store, Stored, WriteSet } from '../../src/store/port.ts';
import type { Faults } from '../faults.ts';
import type { Random } from '../random.ts';

/** What a store does wrong. */
export interface PlantedStore {
  /** What it applies in place of what it was given. */
  readonly writeSets?: (writeSets: readonly WriteSet[], store: Pick<Store, 'get'>) => Promise<WriteSet[]>;
  /** What it answers in place of what came of it. */
  readonly results?: (writeSets: readonly WriteSet[], results: readonly CommitResult[]) => CommitResult[];
  /** What it assigns (positions, stamps) in place of what it should. */
  readonly assigned?: (writeSets: readonly WriteSet[], results: readonly CommitResult[]) => CommitResult[];
  readonly claim?: (claim: Claim) => Claim;
  /** What a scan finds, in place of what is there. */
  readonly rows?: (scan: Scan, found: readonly Stored[]) => Stored[];
}

export interface PlantedBug extends PlantedStore {
  /** Engines' clocks are ahead by this, and nobody expects it. */
  readonly clockAheadMs?: number;
  /** A worker goes on as if its leases stood. */
  readonly ignoresLeases?: boolean;
  /** No engine hears of another. */
  readonly losesNews?: boolean;
  readonly engines?: number;
  /** Faults without which it would seldom show. */
  readonly faults?: Partial<Faults>;
}

export interface BugDescription {
  readonly name: string;
  /** The promise that it breaks (promises.ts). */
  readonly promise: number;
  /** Checks that may be the first to see it. */
  readonly caughtAs: readonly string[];
  readonly plant: (random: Random) => PlantedBug;
}

export const noBug: PlantedBug = {};
