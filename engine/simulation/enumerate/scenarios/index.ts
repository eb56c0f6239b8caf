// The scenarios of the crash enumeration: one for each primitive, and for what they are combined with.

import type { Scenario } from '../scenario.ts';
import { operationScenarios } from './operations.ts';
import { processScenarios } from './processes.ts';
import { sagaScenarios } from './sagas.ts';
import { stepScenarios } from './steps.ts';
import { trailScenarios } from './trail.ts';
import { waitScenarios } from './waits.ts';

export const scenarios: readonly Scenario[] = [
  ...stepScenarios,
  ...waitScenarios,
  ...operationScenarios,
  ...sagaScenarios,
  ...processScenarios,
  ...trailScenarios,
];
