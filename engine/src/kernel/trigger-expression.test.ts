import type { JobEvent } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { createFunction } from '../../../src/function/index.ts';
import { env, openTestEngine } from '../test-support/index.ts';
import { compileExpression } from './trigger-expression.ts';

const event = (data: unknown): JobEvent => ({
  id: 'evt_1',
  name: 'order.placed',
  version: 2,
  data: { text: JSON.stringify(data) as never },
  timestamp: 0,
});

describe('an expression', () => {
  test.each([
    ['event.data.priority > 5', { priority: 7 }, true],
    ['event.data.priority > 5', { priority: 5 }, false],
    ['event.data.n == 5', { n: 5 }, true],
    ['event.data.country in ["DE", "FR"]', { country: 'FR' }, true],
    ['event.data.items.exists(item, item.price > 100.0)', { items: [{ price: 1 }, { price: 101 }] }, true],
    ['has(event.data.coupon)', {}, false],
    ['event.name == "order.placed" && event.version == 2', {}, true],
    ['event.data.missing > 5', {}, false],
    ['event.data.text > 5', { text: 'a' }, false],
    ['event.data.flag', { flag: true }, true],
    ['event.data.flag', { flag: 'yes' }, false],
    ['event.data.n > 5', null, false],
    ['event.name.matches("^order[.][a-z]+$")', {}, true],
    ['event.data.text.matches("a")', { text: `${'b'.repeat(2_000)}a` }, false],
    ['event.data.list.map(x, x * 2.0).filter(x, x > 2.0).size() == 2', { list: [1, 2, 3] }, true],
  ])('%s of %j is %s', (expression, data, fits) => {
    expect(compileExpression(expression, 'It')(event(data))).toBe(fits);
  });

  test.each([
    ['event.data.priority >', 'event.data.priority >\n                              ^'],
    ['1 + "a" == 2', 'no such overload: int + string'],
    ['data.priority > 5', 'Unknown variable: data'],
    ['event.data.priority + 1', 'it is a int'],
    ['size(event.name)', 'it is a int'],
    ['event.name.matches(event.data.pattern)', 'must be written out'],
    [
      'true && event.name.matches("(a+)+b")',
      '| true && event.name.matches("(a+)+b")\n                                    ^',
    ],
    ['event.name.matches("a*a*a*b")', 'more than twice'],
    ['event.name.matches("(a)\\\\1")', 'repeats'],
    ['event.name.matches("(")', 'no regular expression'],
    [Array.from({ length: 600 }, () => 'true').join(' && '), 'maxAstNodes'],
  ])('%s is refused with its mistake', (expression, problem) => {
    const compile = () => compileExpression(expression, 'The expression of trigger 0 of function "f"');
    expect(compile).toThrow(problem);
  });
});

describe('what an expression may cost', () => {
  const list = Array.from({ length: 2_000 }, (_, i) => i);
  const doubled = (depth: number): string =>
    depth === 0 ? 'event.data.text' : `[${doubled(depth - 1)}].map(x, x + x)[0]`;

  test.each([
    [
      'loops within loops over a long list',
      'event.data.list.all(a, event.data.list.all(b, event.data.list.all(c, a + b + c >= 0)))',
    ],
    ['a loop over a list that it makes', 'event.data.list.map(a, event.data.list.map(b, a * b)).size() > 0'],
    ['text that doubles', `${doubled(12)}.size() > 0`],
  ])('%s is given up, and not true', (_, expression) => {
    const evaluate = compileExpression(expression, 'It');
    const startedAt = performance.now();
    expect(evaluate(event({ list, text: 'x'.repeat(100_000) }))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(evaluate(event({ list: [1, 2], text: 'x' })), 'it is true where it costs little').toBe(true);
  });

  test('a loop over a list as long as events have them is not, however often it is asked', () => {
    const evaluate = compileExpression('event.data.list.all(a, a >= 0 && a < 5000)', 'It');
    for (let i = 0; i < 5; i++) expect(evaluate(event({ list }))).toBe(true);
  });
});

test('a function starts for the events that its expression fits, and once', async () => {
  const harness = await openTestEngine();
  const fn = createFunction(
    {
      id: 'f',
      triggers: [
        { event: 'order.*', expression: 'event.data.n > 5' },
        { event: 'order.placed', expression: 'event.data.n > 7' },
      ],
    },
    async () => 'done',
  );
  await harness.worker([fn]);
  const started = async (name: string, n: number) => (await harness.emit(name, { n })).runIds.length;
  expect([
    await started('order.placed', 5),
    await started('order.placed', 6),
    await started('order.placed', 9),
  ]).toEqual([0, 1, 1]);
  expect([await started('order.retried', 6), await started('other', 9)]).toEqual([1, 0]);
});

test('a function whose expression cannot be used is not registered', async () => {
  const harness = await openTestEngine();
  const definition = createFunction(
    { id: 'f', triggers: [{ event: 'e', expression: 'event.data.n >' }] },
    async () => 1,
  );
  await expect(harness.worker([definition])).rejects.toMatchObject({
    code: 'VALIDATION_ERROR',
    message: expect.stringContaining('The expression of trigger 0 of function "f" cannot be used'),
  });
  expect(await harness.engine.listFunctions(env)).toEqual([]);
});
