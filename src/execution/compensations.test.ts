import { NonRetryableError, ValidationError } from '@ironflow/core';
import type { Failure, Report } from '@ironflow/core/wire';
import { describe, expect, test } from 'vitest';
import type { StepClient } from '../step/index.ts';
import { accepted, execute, memoOf, type Script } from '../test-support/index.ts';

const failure: Failure = { name: 'Error', code: 'ERROR', message: 'no seat', retryable: false };
const told = (reports: readonly Report[]) =>
  reports.flatMap(({ records, failing, end }) => [
    ...records.map(({ name, kind, status }) => `${kind} ${name} ${status}`),
    ...(failing ? ['failing'] : []),
    ...(end ? [end.status] : []),
  ]);

/** Books a flight and a hotel, each with what undoes it, and then fails. */
const trip = (calls: string[]) => async (step: StepClient) => {
  await step.run('flight', () => void calls.push('flight'));
  step.compensate('flight', () => void calls.push('cancel flight'));
  await step.run('hotel', () => void calls.push('hotel'));
  step.compensate('hotel', () => void calls.push('cancel hotel'));
  throw new NonRetryableError('no seat');
};

describe('compensations', () => {
  test('run after a terminal failure, the last registered first, each recorded before the next', async () => {
    const calls: string[] = [];
    const run = await execute(trip(calls));
    expect(calls).toEqual(['flight', 'hotel', 'cancel hotel', 'cancel flight']);
    expect(told(run.reports)).toEqual([
      'run flight completed',
      'run hotel completed',
      'failing',
      'compensate compensate:hotel completed',
      'compensate compensate:flight completed',
      'failed',
    ]);
    expect(run.reports.flatMap(({ records }) => records.map(({ stepId }) => stepId)).slice(2)).toEqual([
      'run_1:compensate:hotel:0',
      'run_1:compensate:flight:0',
    ]);
    expect(run.outcome()).toMatchObject({ status: 'failed', error: { message: 'no seat' } });
  });

  test('do not run when the run gets another attempt', async () => {
    const calls: string[] = [];
    const run = await execute(trip(calls), {
      answer: ({ failing, end }) => accepted({ ended: failing !== undefined || end !== undefined }),
    });
    expect(calls).toEqual(['flight', 'hotel']);
    expect(told(run.reports).at(-1)).toBe('failing');
    expect(run.outcome()).toMatchObject({ status: 'failed' });
  });

  test('do not run when the function completes, and nothing is asked of the engine without them', async () => {
    const calls: string[] = [];
    const good = await execute(async (step) => {
      await step.run('a', () => 1);
      step.compensate('a', () => void calls.push('undo'));
      return 'ok';
    });
    expect([good.outcome()?.status, calls]).toEqual(['completed', []]);
    const bare = await execute(() => Promise.reject(new NonRetryableError('no')));
    expect(told(bare.reports)).toEqual(['failed']);
  });

  test('one that fails is recorded, and the others still run', async () => {
    const calls: string[] = [];
    const run = await execute(async (step) => {
      for (const name of ['a', 'b', 'c']) {
        await step.run(name, () => 1);
        step.compensate(name, () => {
          calls.push(name);
          if (name === 'b') throw new NonRetryableError('cannot');
        });
      }
      throw new NonRetryableError('no');
    });
    expect(calls).toEqual(['c', 'b', 'a']);
    expect(told(run.reports).slice(4)).toEqual([
      'compensate compensate:c completed',
      'compensate compensate:b failed',
      'compensate compensate:a completed',
      'failed',
    ]);
  });

  test('one that the engine tries again suspends the execution, and those before it wait', async () => {
    const calls: string[] = [];
    const run = await execute(
      async (step) => {
        step.compensate('a', () => void calls.push('a'));
        step.compensate('b', ({ attempt }) => {
          calls.push(`b ${attempt}`);
          if (attempt < 2) throw new Error('not yet');
        });
        throw new NonRetryableError('no');
      },
      {
        answer: ({ records, end }) =>
          accepted({
            ended: end !== undefined,
            retries: records
              .filter(({ status }) => status === 'failed')
              .map(({ stepId, attempt }) => ({ stepId, attempt: attempt + 1, dueAt: 10 })),
          }),
      },
    );
    expect([calls, told(run.reports).at(-1)]).toEqual([['b 1'], 'suspended']);
  });

  describe('of a run that is to be undone already', () => {
    const undone = (script: Script['assignment']): Script => ({ assignment: { ending: failure, ...script } });

    test('go on after a crash: what is recorded is not run again, and the handler needs nothing for it', async () => {
      const calls: string[] = [];
      const memo = memoOf(['flight:0', 'run', 1], ['hotel:0', 'run', 1], ['compensate:hotel:0', 'compensate', null]);
      const run = await execute(trip(calls), undone({ memo, sequence: 3 }));
      expect(calls).toEqual(['cancel flight']);
      expect(told(run.reports)).toEqual(['compensate compensate:flight completed', 'failed']);
    });

    test('a step that is not recorded is not started, and the code after it is not run', async () => {
      const calls: string[] = [];
      const run = await execute(trip(calls), undone({ memo: memoOf(['flight:0', 'run', 1]), sequence: 1 }));
      expect(calls).toEqual(['cancel flight']);
      expect(run.outcome()).toMatchObject({ status: 'failed', error: failure });
    });

    test('no wait is begun, also where several branches are under way', async () => {
      const calls: string[] = [];
      const run = await execute(async (step) => {
        step.compensate('all', () => void calls.push('undo'));
        await Promise.all([
          step.sleep('nap', '1h'),
          step.waitForEvent('answer', { event: 'answer' }),
          step.invoke('child'),
          step.run('work', () => calls.push('work')),
        ]);
      }, undone({}));
      expect(calls).toEqual(['undo']);
      expect(run.reports.flatMap(({ waits }) => waits)).toEqual([]);
    });

    test('a compensation that has failed for good is not run again', async () => {
      const calls: string[] = [];
      const memo = memoOf(
        ['flight:0', 'run', 1],
        ['hotel:0', 'run', 1],
        ['compensate:hotel:0', 'compensate', new Error('cannot')],
      );
      const run = await execute(trip(calls), undone({ memo, sequence: 3 }));
      expect(calls).toEqual(['cancel flight']);
      expect(run.outcome()?.status).toBe('failed');
    });

    test('with nothing registered, the end is told at once', async () => {
      const run = await execute((step) => step.sleep('nap', '1h'), undone({}));
      expect(told(run.reports)).toEqual(['failed']);
    });
  });

  test('a step that ends while the run fails is compensated too', async () => {
    const calls: string[] = [];
    const bodyEnds = Promise.withResolvers<void>();
    const run = await execute(async (step) => {
      const slow = async () => {
        await step.run('slow', () => bodyEnds.promise);
        step.compensate('slow', () => void calls.push('undo slow'));
      };
      void slow();
      await step.run('bad', () => {
        throw new NonRetryableError('no');
      });
    });
    expect(calls).toEqual([]);
    bodyEnds.resolve();
    await run.settle();
    expect(calls).toEqual(['undo slow']);
    expect(run.outcome()?.status).toBe('failed');
  });

  test('a name is compensated once; the run fails and says what to do', async () => {
    const calls: string[] = [];
    const run = await execute(async (step) => {
      step.compensate('a', () => void calls.push('first'));
      step.compensate('a', () => void calls.push('second'));
    });
    expect(calls).toEqual(['first']);
    const message = 'Step "a" has a compensation already. Give each step that can be undone a name of its own';
    expect(run.outcome()).toMatchObject({
      error: { code: 'VALIDATION_ERROR', retryable: false, message: expect.stringContaining(message) },
    });
  });

  test('a step inside a compensation is refused instead of waiting for ever', async () => {
    const seen: unknown[] = [];
    const run = await execute(async (step) => {
      step.compensate('a', async () => {
        seen.push(await step.run('inner', () => 1).catch((error: unknown) => error));
      });
      throw new NonRetryableError('no');
    });
    expect(seen).toEqual([expect.any(ValidationError)]);
    expect(told(run.reports)).toEqual(['failing', 'compensate compensate:a completed', 'failed']);
  });

  test('a result that the engine does not take makes it a failed one, and the others run', async () => {
    const calls: string[] = [];
    const run = await execute(
      async (step) => {
        step.compensate('a', () => void calls.push('a'));
        step.compensate('b', () => 'too much');
        throw new NonRetryableError('no');
      },
      {
        answer: ({ records }) => {
          if (records.some(({ name, status }) => name === 'compensate:b' && status === 'completed'))
            throw new ValidationError('too large');
          return undefined;
        },
      },
    );
    expect(calls).toEqual(['a']);
    expect(told(run.reports)).toEqual([
      'failing',
      'compensate compensate:b completed',
      'compensate compensate:b failed',
      'compensate compensate:a completed',
      'failed',
    ]);
  });

  test('run all the same when the engine does not take what a step came to', async () => {
    const calls: string[] = [];
    const run = await execute(
      async (step) => {
        step.compensate('a', () => void calls.push('a'));
        step.compensate('b', () => void calls.push('b'));
        await step.run('c', () => 'too much');
      },
      {
        answer: ({ records }) => {
          if (records.some(({ name }) => name === 'c')) throw new ValidationError('too large');
          return undefined;
        },
      },
    );
    expect(calls).toEqual(['b', 'a']);
    expect(told(run.reports)).toEqual([
      'run c completed',
      'failing',
      'compensate compensate:b completed',
      'compensate compensate:a completed',
      'failed',
    ]);
  });

  describe('with an engine of the published contract', () => {
    test('run only when the error is not retryable, and go with the end', async () => {
      const calls: string[] = [];
      const run = await execute(trip(calls), { retries: 'run' });
      expect(calls).toEqual(['flight', 'hotel', 'cancel hotel', 'cancel flight']);
      expect(told(run.reports)).not.toContain('failing');
      const retried = await execute(
        (step) => {
          step.compensate('a', () => void calls.push('never'));
          return Promise.reject(new Error('passing'));
        },
        { retries: 'run' },
      );
      expect([calls.length, told(retried.reports)]).toEqual([4, ['failed']]);
    });
  });
});
