import { describe, expect, test } from 'vitest';
import { refuseReport } from './lease.ts';
import { createRun, leaseRun, queueRun } from './run.ts';

const leased = leaseRun(
  createRun(
    {
      id: 'run_1',
      env: 'default',
      functionId: 'f',
      functionVersion: 1,
      maxAttempts: 1,
      eventId: 'evt_1',
      eventName: 'go',
      input: null,
      parent: null,
    },
    0,
  ),
  { sessionId: 'worker-1', token: 'token' },
  1_000,
  0,
);
const claim = { sessionId: 'worker-1', fence: leased.fence, token: 'token' };

describe('a report', () => {
  test('is taken from the holder of the lease, with its token or by a contract that has none', () => {
    expect(refuseReport(leased, claim)).toBeUndefined();
    expect(refuseReport(leased, { ...claim, token: '' })).toBeUndefined();
  });

  test.each([
    ['an earlier lease', { fence: leased.fence - 1 }],
    ['a lease to come', { fence: leased.fence + 1 }],
    ['another session', { sessionId: 'worker-2' }],
    ['another token', { token: 'guessed' }],
  ])('of %s is refused', (_, wrong) => {
    expect(refuseReport(leased, { ...claim, ...wrong })).toMatchObject({ code: 'STALE_EXECUTION' });
  });

  test('on a run that is not leased, has ended or does not exist is refused', () => {
    expect(refuseReport(queueRun(leased, 0), claim)).toMatchObject({ code: 'STALE_EXECUTION' });
    expect(refuseReport({ ...leased, status: 'completed' }, claim)).toMatchObject({ code: 'RUN_NOT_RUNNING' });
    expect(refuseReport(null, claim)).toMatchObject({ code: 'RUN_NOT_FOUND' });
  });
});
