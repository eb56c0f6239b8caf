import { describe, expect, test } from 'vitest';
import { answerOf, drawProgram } from './program.ts';
import { Random } from './random.ts';
import { simulate } from './simulate.ts';

describe('simulation', () => {
  test('keeps every promise over 200 seeds', { timeout: 120_000 }, async () => {
    const failures: string[] = [];
    for (let seed = 1; seed <= 200; seed++) {
      const { violations } = await simulate({ seed });
      if (violations.length > 0) failures.push(`npm run simulate -- --seed ${seed}: ${violations[0]?.message}`);
    }
    expect(failures).toEqual([]);
  });

  test('gives one exact history for one seed', async () => {
    for (const seed of [3, 17, 42]) {
      const [first, second] = [await simulate({ seed }), await simulate({ seed })];
      expect(second.historyHash).toBe(first.historyHash);
      expect(second.commits).toBe(first.commits);
    }
  });

  test('draws programs of every kind, most of which complete', () => {
    const answers = Array.from({ length: 200 }, (_, seed) => answerOf(drawProgram(new Random(seed), 'p')));
    const completed = answers.filter(({ status }) => status === 'completed').length;
    expect(completed).toBeGreaterThan(120);
    expect(completed).toBeLessThan(200);
  });
});
