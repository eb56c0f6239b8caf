import { expect, test } from 'vitest';
import { describeStore } from '../conformance/index.ts';
import { MemoryStore } from './index.ts';
import { compareValues } from './sorted-rows.ts';

describeStore('memory', async () => ({ store: new MemoryStore(), destroy: async () => {} }));

test('orders values as the databases do', () => {
  const values = ['b', null, 'a', '\u{1f600}', '\uffee', ''];
  expect(values.sort(compareValues)).toEqual([null, '', 'a', 'b', '\uffee', '\u{1f600}']);
});
