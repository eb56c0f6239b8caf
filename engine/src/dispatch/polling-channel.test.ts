import type { Assignment } from '@ironflow/core/wire';
import { expect, test } from 'vitest';
import { VirtualClock } from '../ports/virtual-clock.ts';
import { type Poll, PollingChannel } from './polling-channel.ts';

const job = (jobId: string) => ({ jobId }) as Assignment; // the channel looks at nothing else

function open(options: { jobsMax?: number; held?: string[] } = {}) {
  const clock = new VirtualClock();
  const returned: string[] = [];
  const channel = new PollingChannel({
    sessionId: 'worker-1',
    env: 'default',
    functions: new Map([['f', null]]),
    conversational: true,
    jobsMax: options.jobsMax ?? 2,
    held: options.held ?? [],
    clock,
    fetchMs: 1_000,
    roomChanged: () => {},
    giveBack: ({ jobId }) => void returned.push(jobId),
  });
  const poll = (fields: Partial<Poll> = {}) =>
    channel.poll(
      { available: 2, waitMs: 30_000, wantsNews: true, draining: false, number: undefined, ...fields },
      new AbortController().signal,
    );
  const send = (...jobIds: string[]) => {
    channel.take(jobIds.length);
    for (const jobId of jobIds) channel.assign(job(jobId));
  };
  return { channel, clock, poll, send, returned };
}

test('a poll that was sent before its worker saw a job end takes a job all the same', async () => {
  const { channel, poll, send } = open({ jobsMax: 1 });
  const first = poll({ available: 1 });
  send('a@1');
  expect((await first).jobs).toHaveLength(1);
  // The report that ends the job overtakes the poll in which the worker still counts it.
  channel.ended('a@1');
  const second = poll({ available: 0 });
  expect(channel.room).toBe(1);
  send('b@1');
  expect((await second).jobs).toEqual([{ jobId: 'b@1' }]);
});

test('jobs from before count until they end, and once', () => {
  const { channel, poll } = open({ jobsMax: 2, held: ['a@1', 'b@1'] });
  void poll({ available: 2 });
  expect(channel.room).toBe(0);
  channel.ended('a@1');
  channel.ended('a@1');
  channel.ended('never@1');
  expect(channel.room).toBe(1);
});

test('a worker that does not count with the engine gets at most what its poll asks for', async () => {
  const { channel, poll, send } = open({ jobsMax: 10 });
  const first = poll({ available: 1, wantsNews: false });
  expect(channel.room).toBe(1);
  send('a@1', 'b@1');
  expect((await first).jobs).toEqual([{ jobId: 'a@1' }]);
  expect((await poll({ available: 1, wantsNews: false })).jobs).toEqual([{ jobId: 'b@1' }]);
});

test('an answer that did not arrive goes with the next poll, its news too', async () => {
  const { channel, poll, send } = open();
  const first = poll();
  send('a@1');
  channel.resolve('z@1', { kind: 'retry', wake: 1, stepId: 's', attempt: 2 });
  channel.revoke('y@1', 'CANCELLED', 'The run was cancelled.');
  const lost = await first;
  channel.undelivered(lost);
  expect(await poll()).toEqual(lost);
});

test('there is no room before the first poll, and none when the next is overdue', async () => {
  const { channel, clock, poll, send, returned } = open();
  expect(channel.room).toBe(0);
  const first = poll();
  expect(channel.room).toBe(2);
  send('a@1');
  await first;
  expect(channel.room).toBe(1);
  send('b@1');
  await clock.advance(1_000);
  expect(returned).toEqual(['b@1']);
  expect(channel.room).toBe(0);
});
