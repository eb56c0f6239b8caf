import type { JsonText } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import { matchable } from './job-event.ts';
import { meetsExpression, resolveWaitMatch } from './wait-match.ts';

const run = { id: 'evt_0', name: 'order.placed', data: { orderId: 'o1', n: 5, tags: ['a'], deep: { x: true } } };
const event = (data: unknown): JobEvent => ({
  id: 'evt_1',
  name: 'order.paid',
  version: 1,
  data: { text: JSON.stringify(data) as JsonText },
  timestamp: 0,
});
const meets = (match: string, data: unknown) => {
  const one = event(data);
  return meetsExpression(resolveWaitMatch(match, run).expression, one, () => matchable(one));
};

describe('match of a wait', () => {
  test.each([
    ['data.orderId', { path: 'data.orderId', value: '"o1"', expression: null }],
    ['data.orderId == "o2"', { path: 'data.orderId', value: '"o2"', expression: null }],
  ])('%s is looked up and no expression', (match, expected) => {
    expect(resolveWaitMatch(match, run)).toEqual(expected);
  });

  test.each([
    ['data.orderId == trigger.data.orderId', 'data.orderId', '"o1"'],
    ['trigger.data.orderId == event.data.orderId', 'data.orderId', '"o1"'],
    ['data.amount > 5 && data.orderId == trigger.data.orderId', 'data.orderId', '"o1"'],
    ['event.data["order id"] == trigger.data.orderId && true', 'data.order id', '"o1"'],
    ['data.n == trigger.data.n + 1.0', 'data.n', '6'],
    ['data.n == 3 && data.x != "y"', 'data.n', '3'],
    ['event.timestamp == "x" && event.source == "cron"', 'source', '"cron"'],
    ['data.a == data.b && data.tags.size() > 1', '', ''],
    ['data.a == trigger.data.orderId || data.b == 1', '', ''],
    ['data.tags == trigger.data.tags', '', ''],
  ])('of %s, the equality at "%s" is looked up', (match, path, value) => {
    expect(resolveWaitMatch(match, run)).toMatchObject({ path, value, expression: expect.any(String) });
  });

  test('an expression keeps only what it needs of the event that started the run', () => {
    const { expression } = resolveWaitMatch('data.orderId == trigger.data.orderId && trigger.data.deep.x', run);
    expect(JSON.parse(expression ?? '')).toMatchObject({ trigger: { data: { orderId: 'o1', deep: { x: true } } } });
    expect(expression).not.toContain('tags');
  });

  test.each([
    ['data.amount > 5 && data.orderId == trigger.data.orderId', { amount: 6, orderId: 'o1' }, true],
    ['data.amount > 5 && data.orderId == trigger.data.orderId', { amount: 5, orderId: 'o1' }, false],
    ['data.amount > 5', {}, false],
    ['data.items.exists(i, i.lines.all(l, l > 0))', { items: [{ lines: [1, 2] }] }, true],
    ['data.orderId in ["o1", "o9"]', { orderId: 'o9' }, true],
    ['has(trigger.data.none) || data.ok', { ok: true }, true],
    ['event.name == "order.paid" && event.timestamp.startsWith("1970")', {}, true],
  ])('%s of %j is %s', (match, data, expected) => {
    expect(meets(match, data)).toBe(expected);
  });

  test.each([
    ['data.a ==', 'cannot be used'],
    ['data.a + 1 == "x" + 2', 'cannot be used'],
    ['data.size() + 1', 'true or false'],
    ['nobody.x == 1 && true', 'nobody'],
    ['data.x == trigger.data.none && true', 'asks for trigger.data.none'],
    [`data.a == 1 && ${'data.b == 1 || '.repeat(200)}true`, 'at most'],
  ])('%s is refused, and the error says why', (match, message) => {
    expect(() => resolveWaitMatch(match, run)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(message) }),
    );
  });

  test('one that needs too much of the starting event is refused', () => {
    const large = { ...run, data: { text: 'x'.repeat(20_000) } };
    expect(() => resolveWaitMatch('data.text == trigger.data.text && true', large)).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED' }),
    );
  });
});
