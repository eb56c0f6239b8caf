import { expect, test } from 'vitest';
import { race, trialOf } from './race.ts';

test('emits that race with waits, and crashes between commit and answer: none lost, none doubled', {
  timeout: 60_000,
}, async () => {
  const failed: string[] = [];
  let reached = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const { violations, writes } = await race(seed);
    reached += [...trialOf(seed).plan.keys()].filter((at) => at <= writes).length;
    for (const { message } of violations) failed.push(`npm run races -- --trial ${seed}: ${message}`);
  }
  expect(failed).toEqual([]);
  expect(reached).toBeGreaterThan(150);
});
