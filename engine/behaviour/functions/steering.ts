// What a client does to runs (pause, resume, retry, patch, rerun), over every transport.

import { expect, test } from 'vitest';
import type { Run } from '../../../src/index.ts';
import { NonRetryableError } from '../../../src/index.ts';
import { eventually } from '../../src/test-support/eventually.ts';
import type { BehaviourParts } from './parts.ts';

export function testSteering({ client, define, provide, start, finish }: BehaviourParts): void {
  const inStatus = async (runId: string, ...wanted: readonly string[]): Promise<Run> => {
    const isWanted = ({ status }: Run) => wanted.includes(status);
    const run = await eventually(
      () => client().getRun(runId),
      (now) => isWanted(now) || now.endedAt !== undefined,
    );
    if (!isWanted(run)) throw new Error(`run ${runId} is ${run.status}: ${JSON.stringify(run.error)}`);
    return run;
  };

  test('a paused run starts nothing, hears its event, and goes on when it is resumed', async () => {
    const calls: string[] = [];
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const fn = define(async ({ event, step }) => {
      await step.run('first', () => {
        reached.resolve();
        return gate.promise;
      });
      calls.push('between');
      await step.run('second', () => void calls.push('second'));
      return (await step.waitForEvent('for', { event: `resume.${event.data.id}`, timeout: '1m' })).data;
    });
    await provide([fn]);
    const runId = await start(fn, { id: fn.id });
    await reached.promise;
    expect(await client().pauseRun(runId, 'a look')).toMatchObject({ status: 'running', pauseRequested: true });
    expect((await client().getRun(runId)).why).toContain('It is to be paused');
    gate.resolve();
    const paused = await inStatus(runId, 'paused');
    expect(paused.why).toMatch(/^It was paused by .* a look\. Resume it/);
    expect(calls.includes('second')).toBe(false);
    await client().emit(`resume.${fn.id}`, { heard: true });
    await client().resumeRun(runId);
    expect(await finish(runId)).toMatchObject({ status: 'completed', output: { heard: true } });
    expect(calls.filter((call) => call === 'second')).toHaveLength(1);
  });

  test('a failed run is retried from the step that failed it', async () => {
    const calls: string[] = [];
    let broken = true;
    const fn = define(async ({ step }) => {
      await step.run('one', () => void calls.push('one'));
      await step.sleep('nap', 5);
      return step.run('two', ({ attempt }) => {
        calls.push(`two#${attempt}`);
        if (broken) throw new NonRetryableError('broken');
        return attempt;
      });
    });
    await provide([fn]);
    const runId = await start(fn);
    expect(await finish(runId)).toMatchObject({ status: 'failed' });
    broken = false;
    await client().retryRun(runId);
    expect(await finish(runId)).toMatchObject({ status: 'completed', output: 2, attempt: 2 });
    expect(calls).toEqual(['one', 'two#1', 'two#2']);
    const { entries } = await client().getAuditTrail(runId);
    expect(entries).toMatchObject([{ eventType: 'run.restarted', stepId: `${runId}:two:0` }]);
  });

  test('a failed run goes on from an earlier step, with its output patched or run again', async () => {
    let price = 0;
    const fn = define(async ({ step }) => {
      const a = await step.run('a', () => ++price);
      const b = await step.run('b', () => a * 10);
      if (b < 30) throw new NonRetryableError('too little');
      return b;
    });
    await provide([fn]);
    const runId = await start(fn);
    await finish(runId);
    await client().retryRun(runId, 'a');
    expect(await finish(runId)).toMatchObject({ status: 'failed' });
    expect(price).toBe(2);
    const [a] = (await client().getRunSteps(runId)).steps;
    expect(await client().patchStep(a?.id ?? '', 7, 'by hand')).toMatchObject({
      output: 7,
      status: expect.any(String),
    });
    await client().resumeRun(runId, 'b');
    expect(await finish(runId)).toMatchObject({ status: 'completed', output: 70 });
    expect(price).toBe(2);
  });

  test('a run is run again with other input, as a run of its own', async () => {
    const fn = define(async ({ event, step }) => step.run('double', () => event.data.n * 2));
    await provide([fn]);
    const runId = await start(fn, { n: 1 });
    const rerun = await client().rerunRun(runId, { input: { n: 21 } });
    expect(await finish(rerun.id)).toMatchObject({ status: 'completed', output: 42, rerunOf: runId });
    expect(await finish(runId)).toMatchObject({ output: 2 });
  });
}
