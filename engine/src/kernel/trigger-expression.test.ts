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
  ])('%s of %j is %s', (expression, data, fits) => {
    expect(compileExpression(expression, 'It')(event(data))).toBe(fits);
  });

  test.each([
    ['event.data.priority >', 'event.data.priority >\n                              ^'],
    ['1 + "a" == 2', 'no such overload: int + string'],
    ['data.priority > 5', 'Unknown variable: data'],
    ['event.data.priority + 1', 'it is a int'],
    ['size(event.name)', 'it is a int'],
    [Array.from({ length: 600 }, () => 'true').join(' && '), 'maxAstNodes'],
  ])('%s is refused with its mistake', (expression, problem) => {
    const compile = () => compileExpression(expression, 'The expression of trigger 0 of function "f"');
    expect(compile).toThrow(problem);
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
