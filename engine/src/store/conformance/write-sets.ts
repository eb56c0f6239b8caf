import { emptyWriteSet, type Put, type WriteSet } from '../port.ts';
import { type Item, items } from './schema.ts';

export const writeSet = (part: Partial<WriteSet>): WriteSet => ({ ...emptyWriteSet, ...part });
export const insert = (row: Item, revision = 1): Put => ({ table: items, row, expected: null, revision });
export const update = (row: Item, expected: number): Put => ({ table: items, row, expected, revision: expected + 1 });
