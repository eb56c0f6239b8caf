// Planted bugs: what the checker must catch. Each breaks one promise, and names the checks of which one must say so.

import type { BugDescription } from './bug.ts';
import { claimBugs } from './claims.ts';
import { rowBugs } from './rows.ts';
import { trailBugs } from './trail.ts';
import { waitBugs } from './waits.ts';

export { type BugDescription, noBug, type PlantedBug, type PlantedStore } from './bug.ts';

export const plantedBugs: readonly BugDescription[] = [...rowBugs, ...claimBugs, ...waitBugs, ...trailBugs];
