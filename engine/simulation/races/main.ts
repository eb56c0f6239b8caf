// npm run races -- --trials 10000 --from 1    emits race with waits, with crashes between commit and answer
// npm run races -- --trial 42                 one of them, with its trace

import { parseArgs } from 'node:util';
import { race, trialOf } from './race.ts';

// Errors are made by the thousand here, and nobody reads their stacks.
Error.stackTraceLimit = 0;

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    trial: { type: 'string' },
  },
});

if (values.trial !== undefined) {
  const seed = Number(values.trial);
  console.log([...trialOf(seed).plan].map(([at, fault]) => `${at}:${fault}`).join(','));
  const { trace, violations } = await race(seed, true);
  for (const line of trace) console.log(line);
  for (const { message } of violations) console.log(`VIOLATION ${message}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
} else {
  const startedAt = performance.now();
  const [from, trials] = [Number(values.from), Number(values.trials)];
  let [failed, reached] = [0, 0];
  for (let seed = from; seed < from + trials; seed++) {
    const { violations, writes } = await race(seed);
    reached += [...trialOf(seed).plan.keys()].filter((at) => at <= writes).length;
    const [first] = violations;
    if (first === undefined) continue;
    failed++;
    console.log(`BROKEN trial ${seed}: ${first.message}\n  npm run races -- --trial ${seed}`);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`${trials} trials, ${reached} crashes reached, ${failed} failed, in ${seconds.toFixed(0)} s`);
  process.exitCode = failed === 0 ? 0 : 1;
}
