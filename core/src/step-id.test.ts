import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escapeStepPart, StepScope, stepNameFromId } from './step-id.ts';

describe('the id of a step', () => {
  test('counts each name for itself, from 0, in the order of calls', () => {
    const root = StepScope.root('run_1');
    expect(['a', 'b', 'a', 'a', 'b'].map((name) => root.next(name))).toEqual([
      'run_1:a:0',
      'run_1:b:0',
      'run_1:a:1',
      'run_1:a:2',
      'run_1:b:1',
    ]);
    expect(root.countOf('a')).toBe(3);
    expect(root.countOf('c')).toBe(0);
  });

  test('appends the name and the index of a parallel for every branch it is in', () => {
    const branch = StepScope.root('run_1').branch('fetch', 2);
    expect(branch.next('a')).toBe('run_1:fetch:2:a:0');
    expect(branch.branch('inner', 0).next('a')).toBe('run_1:fetch:2:inner:0:a:0');
  });

  test('counts in each branch for itself, and goes on where an earlier parallel of the name stopped', () => {
    const root = StepScope.root('run_1');
    expect(root.branch('p', 0).next('a')).toBe('run_1:p:0:a:0');
    expect(root.branch('p', 1).next('a')).toBe('run_1:p:1:a:0');
    expect(root.next('a')).toBe('run_1:a:0');
    expect(root.branch('p', 0).next('a')).toBe('run_1:p:0:a:1');
  });

  test.each([
    ['plain', 'plain'],
    ['a:b', 'a\\:b'],
    ['a\\b', 'a\\\\b'],
    ['\\:', '\\\\\\:'],
    ['publish:orders', 'publish:orders'],
    ['publish:a:b', 'publish:a\\:b'],
    ['compensate:book\\flight', 'compensate:book\\\\flight'],
    ['unpublish:x', 'unpublish\\:x'],
  ])('escapes %s as %s', (part, escaped) => {
    expect(escapeStepPart(part)).toBe(escaped);
  });

  const name = fc.oneof(
    { weight: 3, arbitrary: fc.string({ minLength: 1, unit: fc.constantFrom(':', '\\', '0', '1', 'a', '.') }) },
    { weight: 1, arbitrary: fc.constantFrom('publish', 'compensate', 'publish:', 'publish:x', 'compensate:0', 'a:0') },
    { weight: 1, arbitrary: fc.string({ minLength: 1, unit: 'grapheme' }) },
  );
  const place = fc.record({
    branches: fc.array(fc.tuple(name, fc.nat({ max: 2 })), { maxLength: 3 }),
    name,
    repeats: fc.nat({ max: 2 }),
  });

  const idOf = ({ branches, name, repeats }: typeof place extends fc.Arbitrary<infer P> ? P : never): string => {
    let scope = StepScope.root('run_1');
    for (const [parallel, index] of branches) scope = scope.branch(parallel, index);
    for (let i = 0; i < repeats; i++) scope.next(name);
    return scope.next(name);
  };

  test('is never that of another branch, name or repetition', () => {
    // Every place two branches deep, over names made to be mistaken for each other.
    const names = [
      '0',
      '1',
      'a',
      'a:0',
      'a\\',
      ':',
      '\\:',
      'publish',
      'publish:',
      'publish:0',
      'publish:a:0',
      'compensate:a',
    ];
    const steps = (scope: StepScope) => names.flatMap((name) => [scope.next(name), scope.next(name)]);
    const below = (scope: StepScope, depth: number): string[] => [
      ...steps(scope),
      ...(depth === 0 ? [] : names.flatMap((name) => [0, 1].flatMap((i) => below(scope.branch(name, i), depth - 1)))),
    ];
    const ids = below(StepScope.root('run_1'), 2);
    expect(ids).toHaveLength(24 + 24 * 24 + 24 * 24 * 24);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('leads back to the name of the step', () => {
    fc.assert(
      fc.property(place, (at) => {
        expect(stepNameFromId(idOf(at))).toBe(at.name);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(['', 'whatever', 'a:b', 'run_1:a:x', 'a:b:'])('that is not ours is its own name: %j', (id) => {
    expect(stepNameFromId(id)).toBe(id);
  });
});
