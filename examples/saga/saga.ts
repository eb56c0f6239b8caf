// Saga: a trip is booked in three places, and what was booked is given back when one of them has nothing left.
//
//   npx node examples/saga/saga.ts
//
// Look at `bookTrip`. Each step stands beside what undoes it; there is no try and no catch. The car cannot be had, so the run fails,
// and the engine has the compensations run, the last registered first, each a durable step of its own. `hotel` registers before it
// books: should its worker die while the booking is under way, nobody knows what came of it, and it is cancelled all the same.

import { createEngine } from '@ironflow/engine';
import { createClient, createFunction, createWorker, NonRetryableError } from '@ironflow/node';
import { z } from 'zod';

/** Bookings as the three companies have them. The trip's id is the key: booking twice books once, cancelling nothing is fine. */
const bookings = new Set<string>();
function book(what: string, tripId: string) {
  console.log(`book: ${what}`);
  bookings.add(`${what} of ${tripId}`);
}
function cancel(what: string, tripId: string) {
  console.log(`cancel: ${what}`);
  bookings.delete(`${what} of ${tripId}`);
}

const bookTrip = createFunction(
  {
    id: 'book-trip',
    triggers: [{ event: 'trip.requested' }],
    schema: z.object({ tripId: z.string(), carsLeft: z.number() }),
  },
  async ({ event, step }) => {
    const { tripId, carsLeft } = event.data;
    await step.run('flight', () => book('flight', tripId));
    step.compensate('flight', () => cancel('flight', tripId));

    step.compensate('hotel', () => cancel('hotel', tripId));
    await step.run('hotel', () => book('hotel', tripId));

    await step.run('car', () => {
      // Without NonRetryableError the step would be tried again first, by the function's retry policy.
      if (carsLeft === 0) throw new NonRetryableError('no car is left');
      book('car', tripId);
    });
    step.compensate('car', () => cancel('car', tripId));
    return { booked: tripId };
  },
);

const engine = await createEngine({ store: 'memory' }); // nothing is left behind
const worker = createWorker({ functions: [bookTrip], engine, logger: false });
const client = createClient({ engine });
const working = worker.start();
await worker.ready;

for (const [tripId, carsLeft] of [
  ['t1', 1],
  ['t2', 0],
] as const) {
  const { runIds } = await client.emit('trip.requested', { tripId, carsLeft });
  const run = await client.waitForRun(runIds[0] ?? '');
  console.log(`run of ${tripId}: ${run.status}${run.error ? `, ${run.error.message}` : ''}`);
  const { steps } = await client.getRunSteps(run.id);
  for (const { name, status } of steps) console.log(`  step: ${name} ${status}`);
}
console.log(`in the end there are: ${[...bookings].join(', ')}`);

await worker.drain();
await working;
await engine.close();
