// How runs end, what is undone then, and what is left of them, over every transport.

import { expect, test } from 'vitest';
import { NonRetryableError } from '../../../src/index.ts';
import { eventually } from '../../src/test-support/eventually.ts';
import type { BehaviourParts } from './parts.ts';

export function testEnds({ client, define, execute, finish, provide, start }: BehaviourParts): void {
  test('a cancelled run goes no further', async () => {
    const calls: string[] = [];
    const reached = Promise.withResolvers<void>();
    const fn = define(async ({ step }) => {
      await step.run('first', () => {
        calls.push('first');
        reached.resolve();
      });
      await step.waitForEvent('wait', { event: 'never.comes' });
      await step.run('second', () => void calls.push('second'));
    });
    await provide([fn]);
    const runId = await start(fn);
    await reached.promise;
    const cancelled = await client().cancelRun(runId, 'enough');
    expect(cancelled).toMatchObject({ status: 'cancelled', error: { message: expect.stringContaining('enough') } });
    expect(await finish(runId)).toMatchObject({ status: 'cancelled' });
    expect(calls).toEqual(['first']);
  });

  test('a recorded function has a trail of what its run did, in order, beside what people did to it', async () => {
    const fn = define(
      async ({ step }) => {
        await step.run('flaky', ({ attempt }) => {
          if (attempt === 1) throw new Error('not yet');
        });
        await step.sleep('nap', 10);
        await step.waitForEvent('late', { event: 'never.comes', timeout: 10 }).catch(() => {});
      },
      { recording: true, recordingRetention: '7y' },
    );
    const { id } = await execute(fn);
    await client().rerunRun(id, { reason: 'for the auditors' });
    const { entries } = await client().getAuditTrail(id);
    expect(entries.map(({ eventType, stepId }) => `${eventType} ${stepId?.split(':')[1] ?? ''}`)).toEqual([
      'run.started ',
      'step.attempt_failed flaky',
      'step.completed flaky',
      'step.waiting nap',
      'step.completed nap',
      'step.waiting late',
      'step.timed_out late',
      'run.completed ',
      'run.rerun ',
    ]);
    expect(entries[1]?.payload).toMatchObject({ attempt: 1, error: { message: 'not yet' }, nextAttempt: 2 });
    expect(entries[2]?.payload).toMatchObject({ attempt: 2, kind: 'run', worker: expect.any(String) });
    expect(entries[8]).toMatchObject({ actor: expect.any(String), reason: 'for the auditors' });
  });

  test('compensations run after a terminal failure, the last first, and are recorded as steps', async () => {
    const calls: string[] = [];
    const fn = define(async ({ step }) => {
      for (const name of ['flight', 'hotel']) {
        await step.run(name, () => void calls.push(name));
        step.compensate(name, ({ attempt }) => {
          calls.push(`undo ${name}`);
          if (name === 'hotel' && attempt === 1) throw new Error('once more');
        });
      }
      await step.sleep('nap', 10);
      await step.run('pay', () => {
        throw new NonRetryableError('declined');
      });
    });
    const run = await execute(fn);
    expect(run).toMatchObject({ status: 'failed', error: { message: 'declined' } });
    expect(calls).toEqual(['flight', 'hotel', 'undo hotel', 'undo hotel', 'undo flight']);
    const { steps } = await client().getRunSteps(run.id);
    expect(steps.flatMap(({ type, name, status }) => (type === 'compensate' ? [`${name} ${status}`] : []))).toEqual([
      'compensate:hotel completed',
      'compensate:flight completed',
    ]);
  });

  test('a run that gets another attempt is not undone before its last', async () => {
    const calls: string[] = [];
    const fn = define(async ({ step, run }) => {
      await step.run('reserve', () => void calls.push('reserve'));
      step.compensate('reserve', () => void calls.push(`release in ${run.attempt}`));
      throw new Error('not now');
    });
    expect(await execute(fn)).toMatchObject({ status: 'failed', attempt: 3 });
    expect(calls).toEqual(['reserve', 'release in 3']);
  });

  test('a cancelled run is undone when that is asked for', async () => {
    const calls: string[] = [];
    const reached = Promise.withResolvers<void>();
    const fn = define(async ({ step }) => {
      await step.run('reserve', () => reached.resolve());
      step.compensate('reserve', () => void calls.push('release'));
      await step.waitForEvent('paid', { event: 'never.comes' });
    });
    await provide([fn]);
    const runId = await start(fn);
    await reached.promise;
    // The registration follows the step's record: cancelled before that, there would be nothing to undo yet.
    await eventually(
      () => client().getRun(runId),
      ({ status }) => status === 'waiting',
    );
    await client().cancelRun(runId, 'changed my mind', { compensate: true });
    expect(await finish(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: expect.stringContaining('mind') },
    });
    expect(calls).toEqual(['release']);
  });
}
