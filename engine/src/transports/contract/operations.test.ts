// Operations on runs as clients of the published SDK call them: names and bodies of the contract (3.1, 3.2, 15.1).

import { describe, expect, test } from 'vitest';
import { eventually } from '../../test-support/eventually.ts';
import { ContractEngine, PublishedWorker, pullFunction, sleepYield, step } from './published-sdk.ts';

async function failedRun() {
  const engine = await ContractEngine.open();
  const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go', { retry: { maxAttempts: 1 } })]);
  const runId = await engine.start('go');
  const job = await worker.take();
  await worker.failed(job, { message: 'no', code: 'STEP_FAILED', retryable: false }, [step(runId, 'one', 1)]);
  return { engine, worker, runId, stepId: `${runId}:one:0` };
}

const rpc = (method: string) => `/ironflow.v1.IronflowService/${method}`;

describe('RetryRun and ResumeRun', () => {
  test.each([
    [rpc('RetryRun'), (runId: string) => ({ id: runId })],
    [rpc('ResumeRun'), (runId: string) => ({ run_id: runId, from_step: '' })],
    ['/api/v1/runs/resume', (runId: string) => ({ run_id: runId, from_step: '' })],
  ])('%s lets a failed run go on with what it has recorded', async (path, body) => {
    const { engine, worker, runId } = await failedRun();
    const answer = await engine.call('POST', path, body(runId));
    expect(answer).toMatchObject({
      status: 200,
      body: { id: runId, status: expect.stringMatching(/pending|running/) },
    });
    const job = await worker.take();
    expect(job).toMatchObject({ run_id: runId, attempt: 2, completed_steps: [{ name: 'one', output: 1 }] });
    await worker.completed(job, 'done');
    expect(await engine.until(runId, 'completed')).toMatchObject({ output: 'done' });
  });

  test('from a step: it and what came after it run again', async () => {
    const { engine, worker, runId } = await failedRun();
    await engine.call('POST', '/api/v1/runs/resume', { run_id: runId, from_step: 'one' });
    expect(await worker.take()).toMatchObject({ run_id: runId, completed_steps: [] });
  });

  test('are refused in a wrong status: failed_precondition over Connect, 409 over REST', async () => {
    const { engine, runId } = await failedRun();
    await engine.call('POST', rpc('RetryRun'), { id: runId });
    expect(await engine.call('POST', rpc('RetryRun'), { id: runId })).toMatchObject({
      status: 400,
      body: { code: 'failed_precondition', message: expect.stringContaining(runId), error_code: 'RUN_STATE' },
    });
    expect(await engine.call('POST', '/api/v1/runs/resume', { run_id: runId })).toMatchObject({
      status: 409,
      body: { error: expect.stringContaining(runId), code: 'RUN_STATE' },
    });
    expect(await engine.call('POST', rpc('ResumeRun'), { run_id: 'run_none' })).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    expect(await engine.call('POST', rpc('ResumeRun'), {})).toMatchObject({ body: { code: 'invalid_argument' } });
  });
});

describe('PatchStep', () => {
  test.each(['/api/v1/steps/patch', rpc('PatchStep')])('%s replaces an output', async (path) => {
    const { engine, worker, runId, stepId } = await failedRun();
    const answer = await engine.call('POST', path, { step_id: stepId, output: { n: 42 }, reason: 'fix bad data' });
    expect(answer).toMatchObject({ status: 200, body: { output: { n: 42 } } });
    await engine.call('POST', rpc('ResumeRun'), { run_id: runId });
    expect(await worker.take()).toMatchObject({ completed_steps: [{ name: 'one', output: { n: 42 } }] });
  });

  test('takes null as an output, and refuses none', async () => {
    const { engine, stepId } = await failedRun();
    const patch = (body: object) => engine.call('POST', '/api/v1/steps/patch', { step_id: stepId, ...body });
    expect(await patch({ output: null })).toMatchObject({ status: 200, body: { output: null } });
    expect(await patch({})).toMatchObject({ status: 400 });
    expect(await engine.call('POST', '/api/v1/steps/patch', { step_id: 'x', output: 1 })).toMatchObject({
      status: 404,
    });
  });
});

describe('PauseRun', () => {
  test('says pause_requested while a worker is at it and paused then; the state and injected outputs can be seen', async () => {
    const engine = await ContractEngine.open();
    const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go')]);
    const runId = await engine.start('go');
    const job = await worker.take();
    const pause = () => engine.call('POST', rpc('PauseRun'), { run_id: runId }).then((answer) => answer.body);
    expect(await pause()).toEqual({ status: 'pause_requested' });
    expect((await engine.call('POST', rpc('GetRun'), { id: runId })).body).toMatchObject({
      status: 'running',
      pauseRequested: true,
    });
    await worker.progress(job, [step(runId, 'one', 1)]);
    await worker.yielded(job, sleepYield(`${runId}:nap:0`, new Date(Date.now() + 20)));
    expect(await pause()).toEqual({ status: 'paused' });
    const state = () => engine.call('POST', rpc('GetPausedState'), { run_id: runId }).then((answer) => answer.body);
    expect(
      await eventually(state, (found) => JSON.stringify(found).includes('nap","stepType":"sleep","status":"completed')),
    ).toMatchObject({
      steps: [
        { id: `${runId}:one:0`, name: 'one', output: '1', injected: false, completedAt: expect.any(String) },
        { name: 'nap', status: 'completed' },
      ],
      pauseReason: '',
    });
    const injected = { run_id: runId, step_id: `${runId}:one:0`, new_output: '{"n":2}', reason: 'test' };
    expect((await engine.call('POST', rpc('InjectStepOutput'), injected)).body).toEqual({
      stepId: `${runId}:one:0`,
      previousOutput: '1',
    });
    expect(await engine.call('POST', rpc('InjectStepOutput'), { ...injected, new_output: '{' })).toMatchObject({
      status: 400,
    });
    await engine.call('POST', rpc('ResumeRun'), { run_id: runId, from_step: '' });
    const again = await worker.take();
    expect(again).toMatchObject({ run_id: runId, attempt: 1 });
    expect(again.completed_steps).toMatchObject([{ name: 'one', output: { n: 2 } }, { name: 'nap' }]);
    const trail = (await engine.call('POST', '/ironflow.v1.AuditService/GetAuditTrail', { run_id: runId })).body;
    const types = (trail as { events: { eventType: string }[] }).events.map(({ eventType }) => eventType);
    expect(types).toEqual(['run.paused', 'step.patched', 'run.resumed']);
    expect(trail).toMatchObject({ totalCount: 3, entries: expect.any(Array) });
  });
});
