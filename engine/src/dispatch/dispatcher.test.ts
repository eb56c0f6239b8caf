import type { JsonText } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import { expect, test } from 'vitest';
import { createRun, leaseRun } from '../kernel/run.ts';
import { createIds } from '../ports/ids.ts';
import { silentLogger } from '../ports/logger.ts';
import { VirtualClock } from '../ports/virtual-clock.ts';
import { MemoryStore } from '../store/memory/index.ts';
import { Dispatcher } from './index.ts';
import { LineChannel } from './line-channel.ts';

const queue = { env: 'default', functionId: 'f', version: 1 };
const event: JobEvent = { id: 'evt_1', name: 'go', version: 1, data: { text: '1' as JsonText }, timestamp: 0 };

test('room that was reserved on a session which is given up is there again when it comes back', async () => {
  const clock = new VirtualClock();
  const returned: string[] = [];
  const dispatcher = new Dispatcher({
    store: new MemoryStore(),
    clock,
    ids: createIds(),
    logger: silentLogger,
    timeoutMs: async () => 1_000,
    secrets: () => undefined,
    sessionGuard: async () => undefined,
    claim: async () => [],
    cannotUndo: async () => {},
    giveBack: async ({ id }) => void returned.push(id),
  });
  const channel = new LineChannel({
    sessionId: 'worker-1',
    env: queue.env,
    functions: new Map([[queue.functionId, 1]]),
    conversational: true,
    jobsMax: 1,
    held: [],
    handlers: { assigned: () => {}, resolved: () => {}, revoked: () => {}, replaced: () => {} },
    roomChanged: (changed) => dispatcher.roomChanged(changed),
    giveBack: ({ runId }) => void returned.push(runId),
  });
  dispatcher.attach(channel);
  await clock.settle();
  const reservation = dispatcher.reserve(queue, 'run_1');
  if (reservation === undefined) throw new Error('there is room');
  const run = createRun(
    {
      id: 'run_1',
      env: queue.env,
      functionId: queue.functionId,
      functionVersion: queue.version,
      maxAttempts: 1,
      eventId: event.id,
      eventName: event.name,
      input: null,
      parent: null,
    },
    clock.now(),
  );
  const lease = { sessionId: channel.sessionId, token: 'token' };
  dispatcher.leased(reservation, leaseRun(run, lease, 1_000, clock.now()), event);
  dispatcher.detach(channel.sessionId);
  await clock.settle();
  expect(returned).toEqual(['run_1']);
  dispatcher.attach(channel);
  expect(channel.room).toBe(1);
});
