import { capabilities, type JobOffer, parseFunctionRegistration, type Report } from '@ironflow/core/wire';
import { expect, test } from 'vitest';
import { createFunction, registrationOf } from '../../../src/function/index.ts';
import { env, openTestEngine } from '../test-support/index.ts';

const fn = createFunction(
  { id: 'f', triggers: [{ event: 'go' }], retry: { maxAttempts: 2, initialDelayMs: 100, maxDelayMs: 100 } },
  async () => {},
);

test('a worker that fails its run, and has not heard of a retry that is due, is told of it', async () => {
  const { engine, clock, emit } = await openTestEngine();
  await engine.registerFunction(env, parseFunctionRegistration(registrationOf(fn, { mode: 'pull', codeHash: 'a' })));
  const offers: JobOffer[] = [];
  const line = await engine.workers.connect(
    env,
    {
      workerId: 'deaf',
      hostname: 'test',
      functionIds: ['f'],
      functionVersions: { f: 1 },
      jobsMax: 1,
      labels: {},
      version: { sdk: '', runtime: '' },
      capabilities: [...capabilities],
    },
    { assigned: (offer) => void offers.push(offer), resolved: () => {}, revoked: () => {} },
  );
  await emit('go');
  await clock.settle();
  const [offer] = offers;
  if (offer === undefined) throw new Error('no job came');
  const { jobId, fence, leaseToken, runId } = offer;
  const base: Report = { jobId, fence, leaseToken, seenWakes: 0, records: [], waits: [] };
  const failed = await line.report({
    ...base,
    records: [
      {
        stepId: `${runId}:a:0`,
        name: 'a',
        kind: 'run',
        attempt: 1,
        wake: 0,
        sequence: 1,
        startedAt: 0,
        endedAt: 0,
        status: 'failed',
        error: { code: 'ERROR', message: 'not yet', retryable: true },
      },
    ],
  });
  expect(failed).toMatchObject({ status: 'accepted', retries: [{ attempt: 2 }] });
  await clock.advance(1_000);
  const failing = { ...base, failing: { code: 'ERROR', message: 'for good', retryable: false } };
  const told = { status: 'accepted', ended: false, resolutions: [{ kind: 'retry', wake: 1 }] };
  expect(await line.report(failing)).toMatchObject(told);
  expect(await line.report(failing)).toMatchObject(told); // the first answer was lost
});
