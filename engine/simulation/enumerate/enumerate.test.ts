import { describe, expect, test } from 'vitest';
import { enumerateCrashes } from './enumerate.ts';
import { scenarios } from './scenarios/index.ts';

describe('crash enumeration', () => {
  test('has at least 40 scenarios, each by a name of its own', () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    expect(scenarios.length).toBeGreaterThanOrEqual(40);
  });

  test.each(scenarios)(
    '$name: ends as it should, whichever commit something goes wrong at',
    { timeout: 60_000 },
    async (one) => {
      const { single, failures } = await enumerateCrashes(one, 5);
      expect(failures).toEqual([]);
      expect(single).toBeGreaterThan(9);
    },
  );
});
