import { describe, expect, test } from 'vitest';
import { promises } from '../promises.ts';
import { simulate } from '../simulate.ts';
import { plantedBugs } from './index.ts';

const SEEDS_MAX = 200;

describe('the checker', () => {
  test.each(plantedBugs)('catches: $name (promise $promise)', { timeout: 120_000 }, async ({ plant, caughtAs }) => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { violations } = await simulate({ seed, plant });
      const [first] = violations;
      if (first === undefined) continue;
      expect(caughtAs).toContain(first.promise);
      return;
    }
    expect.fail(`not caught within ${SEEDS_MAX} seeds`);
  });

  test('has a planted bug for every promise that it checks', () => {
    const checked = promises.filter(({ checked }) => !checked.startsWith('Waits for')).map(({ number }) => number);
    expect([...new Set(plantedBugs.map(({ promise }) => promise))].sort((a, b) => a - b)).toEqual(checked);
  });
});
