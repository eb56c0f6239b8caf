import { IronflowError } from '@ironflow/core';
import { describe, expect, test } from 'vitest';
import { execute } from '../test-support/index.ts';
import { expectNoRejections } from '../test-support/rejections.ts';

expectNoRejections();

describe('a journal that does not take a report', () => {
  test('fails the run with its reason', async () => {
    const run = await execute((step) => step.run('a', () => 1), {
      answer: ({ end }) => {
        if (end === undefined) throw new IronflowError('the request is too large', { code: 'PAYLOAD_TOO_LARGE' });
        return undefined;
      },
    });
    expect(run.outcome()).toMatchObject({
      status: 'failed',
      error: { code: 'PAYLOAD_TOO_LARGE', message: 'the request is too large', retryable: false },
    });
  });

  test('even of the failure, drops it', async () => {
    const run = await execute((step) => step.run('a', () => 1), {
      answer: () => Promise.reject(new IronflowError('no')),
    });
    expect(run.outcome()).toEqual({ status: 'dropped', reason: 'no' });
    expect(run.reports.map(({ end }) => end?.status)).toEqual([undefined, 'failed']);
  });

  test('and lets the run be tried again where that can help', async () => {
    const run = await execute((step) => step.run('a', () => 1), {
      answer: ({ end }) => {
        if (end === undefined) throw new IronflowError('away', { code: 'CONNECTION_LOST' });
        return undefined;
      },
    });
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { code: 'CONNECTION_LOST', retryable: true } });
  });
});

describe('reports', () => {
  test('carry at most 500 steps, and less when these are large', async () => {
    const many = await execute((step) => Promise.all(Array.from({ length: 1_200 }, () => step.run('s', () => 1))));
    expect(many.reports.map(({ records }) => records.length)).toEqual([500, 500, 200, 0]);
    const large = await execute((step) =>
      Promise.all(Array.from({ length: 5 }, () => step.run('s', () => 'x'.repeat(1_500_000)))),
    );
    expect(large.reports.map(({ records }) => records.length)).toEqual([1, 1, 1, 1, 1, 0]);
  });

  test('number what they record, from where the run had got to', async () => {
    const run = await execute(
      async (step) => {
        await step.run('a', () => 1);
        await Promise.all([step.sleep('nap', 1), step.run('b', () => 2)]);
      },
      { assignment: { sequence: 7, wakes: 3 } },
    );
    const numbered = run.reports.flatMap(({ records, waits }) => [...records, ...waits]);
    expect(numbered.map(({ name, sequence, wake }) => [name, sequence, wake])).toEqual([
      ['a', 8, 3],
      ['b', 10, 3],
      ['nap', 9, 3],
    ]);
  });
});
