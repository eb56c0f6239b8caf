// The reference's chapters "Defining Functions", "Step Primitives" and "Saga Compensation".

import { createFunction, createSecretsClient, ironflow, NonRetryableError } from '@ironflow/node';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { outcome, startWith } from './test-support/index.ts';

test('a function without a schema', async () => {
  const fulfil = createFunction({ id: 'fulfil', triggers: [{ event: 'order.placed' }] }, async ({ event, step }) => {
    const checked = await step.run('check', async () => ({ orderId: event.data.orderId as string, ok: true }));
    return { success: checked.ok, orderId: checked.orderId };
  });
  const { client } = await startWith(fulfil);
  expect(await outcome(client, 'order.placed', { orderId: 'o1' })).toMatchObject({
    status: 'completed',
    output: { success: true, orderId: 'o1' },
  });
});

test('a function with a Zod schema', async () => {
  const Order = z.object({ orderId: z.string(), amount: z.number(), customerId: z.string() });
  const charge = async (customerId: string, amount: number) => ({ id: `${customerId}-${amount}` });
  const bill = createFunction(
    { id: 'bill', triggers: [{ event: 'order.placed' }], schema: Order },
    async ({ event, step }) => {
      const receipt = await step.run('charge', async () => charge(event.data.customerId, event.data.amount));
      return { receiptId: receipt.id };
    },
  );
  const { client } = await startWith(bill);
  expect(await outcome(client, 'order.placed', { orderId: 'o', amount: 5, customerId: 'c' })).toMatchObject({
    output: { receiptId: 'c-5' },
  });
  expect(await outcome(client, 'order.placed', { orderId: 'o' })).toMatchObject({
    status: 'failed',
    error: { code: 'SCHEMA_VALIDATION', message: expect.stringMatching(/amount.*customerId/s) },
  });
});

test('a function with every field of its configuration', async () => {
  const Order = z.object({ customerId: z.string(), priority: z.number().default(9) });
  const everything = ironflow.createFunction(
    {
      id: 'everything',
      name: 'Everything',
      triggers: [
        { event: 'order.placed' },
        { event: 'order.retry', expression: 'event.data.priority > 5' },
        { cron: '0 */6 * * *', event: 'scheduled.cleanup' },
      ],
      retry: { maxAttempts: 5, initialDelayMs: 2_000, backoffFactor: 3 },
      timeout: 300_000,
      concurrency: { limit: 10, key: 'event.data.customerId' },
      mode: 'pull',
      actorKey: 'event.data.customerId',
      schema: Order,
      secrets: ['STRIPE_SECRET_KEY', 'SENDGRID_API_KEY'],
      stepTimeout: '30s',
      recording: true,
      recordingRetention: '30d',
    },
    async ({ event, secrets }) => {
      const key = secrets.get('STRIPE_SECRET_KEY');
      return { customer: event.data.customerId, length: key.length, mail: secrets.has('SENDGRID_API_KEY') };
    },
  );
  const { client, setSecret } = await startWith(everything);
  await setSecret('STRIPE_SECRET_KEY', 'sk_test_1234');
  expect(await outcome(client, 'order.placed', { customerId: 'c' })).toMatchObject({
    output: { customer: 'c', length: 12, mail: false },
  });
  expect((await client.emit('order.retry', { customerId: 'c', priority: 5 })).runIds).toEqual([]);
  expect((await client.emit('order.retry', { customerId: 'c', priority: 6 })).runIds).toHaveLength(1);
  expect(createSecretsClient({ A: 'a' }).get('A')).toBe('a');
});

test('step.run with a timeout of its own', async () => {
  const enrich = createFunction({ id: 'enrich', triggers: [{ event: 'e' }] }, async ({ event, step }) => {
    const charged = await step.run('charge-card', async () => ({ id: `tx-${event.data.amount}` }));
    const enriched = await step.run('enrich-data', async () => [event.data.id], { timeout: '60s' });
    return { transactionId: charged.id, enriched };
  });
  const { client } = await startWith(enrich);
  expect(await outcome(client, 'e', { amount: 3, id: 'i' })).toMatchObject({
    output: { transactionId: 'tx-3', enriched: ['i'] },
  });
});

test('step.sleep and step.sleepUntil', async () => {
  const mails: string[] = [];
  const trial = createFunction({ id: 'trial', triggers: [{ event: 'user.signup' }] }, async ({ event, step }) => {
    await step.run('welcome', async () => mails.push(`welcome ${event.data.email}`));
    await step.sleep('wait-for-trial', '20ms');
    await step.sleep('in-milliseconds', 20);
    await step.sleepUntil('until-a-date', new Date('2025-12-31T00:00:00Z'));
    await step.sleepUntil('until-the-deadline', event.data.deadline);
    await step.run('trial-ends', async () => mails.push(`ends ${event.data.email}`));
  });
  const { client } = await startWith(trial);
  const data = { email: 'a@x.test', deadline: new Date(Date.now() + 50).toISOString() };
  expect(await outcome(client, 'user.signup', data)).toMatchObject({ status: 'completed' });
  expect(mails).toEqual(['welcome a@x.test', 'ends a@x.test']);
});

test('step.waitForEvent with a match and a timeout', async () => {
  const approval = createFunction(
    { id: 'approval-flow', triggers: [{ event: 'approval.requested' }] },
    async ({ event, step }) => {
      await step.run('notify', async () => event.data.approverId);
      const given = await step.waitForEvent('wait-approval', {
        event: 'approval.received',
        match: 'data.requestId',
        timeout: '48h',
      });
      if (given.data.approved) await step.run('go-on', async () => event.data.requestId);
      return { approved: given.data.approved };
    },
  );
  const { client } = await startWith(approval);
  const { runIds } = await client.emit('approval.requested', { requestId: 'r1', approverId: 'a' });
  await client.emit('approval.received', { requestId: 'r2', approved: false });
  await client.emit('approval.received', { requestId: 'r1', approved: true });
  expect(await client.waitForRun(runIds[0] ?? '')).toMatchObject({ output: { approved: true } });
});

test.each(['30s', '5m', '1h', '7d', 90_000])(
  'a wait of %s, and one without a timeout, which has 7 days',
  async (duration) => {
    const sleeper = createFunction({ id: 'sleeper', triggers: [{ event: 'e' }] }, async ({ step }) =>
      Promise.all([step.sleep('rest', duration), step.waitForEvent('answer', { event: 'answer' })]),
    );
    const { client } = await startWith(sleeper);
    const { runIds } = await client.emit('e');
    const [runId = ''] = runIds;
    await vi.waitFor(async () => expect((await client.getRun(runId)).status).toBe('waiting'));
    const { waits } = await client.getRun(runId, { steps: true });
    const lengths = waits.map(({ name, since, dueAt = '' }) => [name, Date.parse(dueAt) - Date.parse(since)] as const);
    const length = { '30s': 30_000, '5m': 300_000, '1h': 3_600_000, '7d': 604_800_000 }[duration] ?? 90_000;
    // The worker's clock fixes the end, the engine's notes the beginning.
    const nearly = (ms: number) => expect.toSatisfy((value: number) => Math.abs(value - ms) < 10_000);
    expect(Object.fromEntries(lengths)).toEqual({ rest: nearly(length), answer: nearly(604_800_000) });
  },
);

test('step.invoke and step.invokeAsync', async () => {
  const pay = createFunction({ id: 'process-payment', triggers: [] }, async ({ event }) => ({
    paid: event.data.amount,
  }));
  const report = createFunction(
    { id: 'generate-report', triggers: [] },
    async ({ event }) => `report ${event.data.orderId}`,
  );
  const all = createFunction(
    { id: 'orchestrator', triggers: [{ event: 'workflow.start' }] },
    async ({ event, step }) => {
      const payment = await step.invoke('process-payment', { orderId: event.data.orderId, amount: event.data.amount });
      const text = await step.invoke('generate-report', { orderId: event.data.orderId }, { timeout: '5m' });
      const { runId } = await step.invokeAsync('generate-report', { orderId: 'later' });
      return { payment, text, runId };
    },
  );
  const { client } = await startWith(pay, report, all);
  const { output } = await outcome(client, 'workflow.start', { orderId: 'o1', amount: 7 });
  expect(output).toMatchObject({ payment: { paid: 7 }, text: 'report o1', runId: expect.stringMatching(/^run_/) });
  expect(await client.waitForRun((output as { runId: string }).runId)).toMatchObject({ output: 'report later' });
});

test('step.parallel and step.map', async () => {
  const fetched = async <T>(value: T) => value;
  const enrich = createFunction(
    { id: 'enrich-user', triggers: [{ event: 'user.created' }] },
    async ({ event, step }) => {
      const [profile, score] = await step.parallel('fetch-all', [
        async (s) => s.run('fetch-profile', () => fetched({ id: event.data.userId as string })),
        async (s) => s.run('fetch-credit', () => fetched(700)),
      ]);
      const items = event.data.items as { id: string; bad?: boolean }[];
      const settled = await step.parallel(
        'batch',
        items.map(
          (item) => async (s) =>
            s.run(`process-${item.id}`, () => {
              if (item.bad) throw new Error('no');
              return fetched(item.id);
            }),
        ),
        { concurrency: 5, onError: 'allSettled' },
      );
      const mapped = await step.map(
        'each',
        items,
        async (item, s, index) => s.run(`one-${index}`, () => fetched(item.id)),
        {
          concurrency: 3,
        },
      );
      return { profile, score, settled: settled.map((one) => (one instanceof Error ? 'failed' : one)), mapped };
    },
  );
  const fast = { ...enrich, config: { ...enrich.config, retry: { maxAttempts: 1 } } };
  const { client } = await startWith(fast);
  const data = { userId: 'u', items: [{ id: 'a' }, { id: 'b', bad: true }] };
  expect(await outcome(client, 'user.created', data)).toMatchObject({
    output: { profile: { id: 'u' }, score: 700, settled: ['a', 'failed'], mapped: ['a', 'b'] },
  });
});

test('step.publish: a message for each step, and no function starts', async () => {
  const order = createFunction(
    { id: 'order-processor', triggers: [{ event: 'order.placed' }] },
    async ({ event, step }) => {
      const result = await step.run('process', async () => ({ done: event.data.orderId as string }));
      await step.publish('order-notifications', { orderId: event.data.orderId, status: 'processed' });
      return result;
    },
  );
  const listener = createFunction({ id: 'listener', triggers: [{ event: 'order-notifications' }] }, async () => 'no');
  const { client } = await startWith(order, listener);
  expect(await outcome(client, 'order.placed', { orderId: 'o1' })).toMatchObject({ output: { done: 'o1' } });
  expect(await client.getTopicStats('order-notifications')).toMatchObject({ messageCount: 1, firstSeq: 1, lastSeq: 1 });
  expect((await client.listRuns({ functionId: 'listener' })).totalCount).toBe(0);
});

test('step.compensate beside the steps of a transfer that goes through: nothing is undone', async () => {
  const accounts: Record<string, number> = { a: 100, b: 0 };
  const move = async (account: string, amount: number) => {
    accounts[account] = (accounts[account] ?? 0) + amount;
    return { ref: `${account}${amount}` };
  };
  const transfer = createFunction(
    { id: 'transfer-funds', triggers: [{ event: 'transfer.requested' }] },
    async ({ event, step }) => {
      const { from, to, amount } = event.data;
      const debit = await step.run('debit', async () => move(from, -amount));
      step.compensate('debit', async () => {
        await move(from, amount);
      });
      const credit = await step.run('credit', async () => move(to, amount));
      step.compensate('credit', async () => {
        await move(to, -amount);
      });
      return { debitRef: debit.ref, creditRef: credit.ref };
    },
  );
  const { client } = await startWith(transfer);
  expect(await outcome(client, 'transfer.requested', { from: 'a', to: 'b', amount: 30 })).toMatchObject({
    output: { debitRef: 'a-30', creditRef: 'b30' },
  });
  expect(accounts).toEqual({ a: 70, b: 30 });
});

/** A trip that finds no car; its hotel cannot be cancelled when `hotelRefuses`. */
function tripWithoutCar(undone: string[], hotelRefuses: boolean) {
  const book = async (what: string) => ({ confirmationId: `c-${what}`, available: what !== 'car' });
  return createFunction(
    { id: 'book-trip', triggers: [{ event: 'trip.requested' }], retry: { maxAttempts: 1 } },
    async ({ event, step }) => {
      const flight = await step.run('book-flight', async () => book(event.data.flight));
      step.compensate('book-flight', async () => {
        undone.push(flight.confirmationId);
      });
      const hotel = await step.run('book-hotel', async () => book(event.data.hotel));
      step.compensate('book-hotel', async () => {
        if (hotelRefuses) throw new Error('the hotel does not answer');
        undone.push(hotel.confirmationId);
      });
      const car = await step.run('book-car', async () => {
        const result = await book('car');
        if (!result.available) throw new NonRetryableError('Car not available');
        return result;
      });
      step.compensate('book-car', async () => {
        undone.push(car.confirmationId);
      });
      return { flight, hotel, car };
    },
  );
}

test.each([
  ['in reverse order, each a step', false, ['c-h', 'c-f'], 'completed'],
  ['the others too when one of them fails', true, ['c-f'], 'failed'],
])('a failed saga is undone: %s', async (_, hotelRefuses, expected, hotelStatus) => {
  const undone: string[] = [];
  const { client } = await startWith(tripWithoutCar(undone, hotelRefuses));
  const run = await outcome(client, 'trip.requested', { flight: 'f', hotel: 'h' });
  expect(run).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('Car not available') } });
  expect(undone).toEqual(expected);
  const { steps } = await client.getRunSteps(run.runId);
  expect(steps.map(({ name, status }) => [name, status]).slice(-3)).toEqual([
    ['book-car', 'failed'],
    ['compensate:book-hotel', hotelStatus],
    ['compensate:book-flight', 'completed'],
  ]);
});
