// npm run enumerate                        every scenario, every commit, and up to 1,000 second faults each
// npm run enumerate -- --pairs 100000      more of the second faults
// npm run enumerate -- --scenario sleep --plan 7:after,12:lost    one of them, with its trace

import { parseArgs } from 'node:util';
import type { PlannedFault } from '../faulty-store.ts';
import { enumerateCrashes } from './enumerate.ts';
import { runScenario } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';

// Errors are made by the thousand here, and nobody reads their stacks.
Error.stackTraceLimit = 0;

const { values } = parseArgs({
  options: { pairs: { type: 'string', default: '1000' }, scenario: { type: 'string' }, plan: { type: 'string' } },
});

const chosen = scenarios.filter(({ name }) => values.scenario === undefined || name === values.scenario);
if (chosen.length === 0) throw new TypeError(`there is no scenario "${values.scenario}"`);

if (values.plan !== undefined) {
  const plan = new Map(
    values.plan.split(',').map((one) => {
      const [at, fault] = one.split(':');
      return [Number(at), fault as PlannedFault] as const; // as a report of a failure names it
    }),
  );
  for (const scenario of chosen) {
    const { trace, violations } = await runScenario(scenario, plan, true);
    for (const line of trace) console.log(line);
    for (const { message } of violations) console.log(`VIOLATION ${message}`);
    process.exitCode = violations.length === 0 ? 0 : 1;
  }
} else {
  const totals = { writes: 0, single: 0, double: 0, failed: 0 };
  const startedAt = performance.now();
  for (const scenario of chosen) {
    const { writes, single, double, failures } = await enumerateCrashes(scenario, Number(values.pairs));
    console.log(`${scenario.name}: ${writes} commits, ${single} crashes, ${double} pairs, ${failures.length} failed`);
    for (const { plan, message } of failures.slice(0, 5)) {
      const text = plan.map((one) => one.join(':')).join(',');
      console.log(
        `  ${message}\n  replay: npm run enumerate -- --scenario ${JSON.stringify(scenario.name)} --plan ${text}`,
      );
    }
    totals.writes += writes;
    totals.single += single;
    totals.double += double;
    totals.failed += failures.length;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(
    `${chosen.length} scenarios, ${totals.writes} commits: ${totals.single} crashes and ${totals.double} pairs enumerated, ` +
      `${totals.failed} failed, in ${seconds.toFixed(0)} s`,
  );
  process.exitCode = totals.failed === 0 ? 0 : 1;
}
