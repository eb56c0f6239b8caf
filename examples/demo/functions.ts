// The functions of the demo. Every step's body writes what it does into a ledger outside the engine, so that at the end the
// two can be compared.

import { createFunction } from '@ironflow/node';
import { z } from 'zod';
import type { Ledger } from './ledger.ts';

const Order = z.object({ orderId: z.string(), amount: z.number() });

export function createFunctions(ledger: Ledger) {
  const processOrder = createFunction(
    {
      id: 'process-order',
      triggers: [{ event: 'order.placed' }],
      schema: Order,
      retry: { maxAttempts: 4, initialDelayMs: 300 },
    },
    async ({ event, step }) => {
      const { orderId, amount } = event.data;
      const body = <T>(name: string, work: () => T, ms = 150) => ledger.body(orderId, name, work, ms);

      const order = await step.run(
        'validate',
        body('validate', () => ({ orderId, amount, valid: true })),
      );
      const receipt = await step.run(
        'charge',
        body('charge', () => ({ receiptId: `receipt-${orderId}`, charged: order.amount }), 400),
      );
      await step.sleep('cooling-off', '2s');

      const [approval, parcel] = await step.parallel('approve-and-pack', [
        async (branch) => {
          const approved = await branch.waitForEvent('approval', {
            event: 'order.approved',
            match: 'data.orderId',
            timeout: '5m',
          });
          return branch.run(
            'note-approval',
            body('note-approval', () => ({ by: approved.data.by })),
          );
        },
        async (branch) =>
          branch.run('pack', (context) =>
            body('pack', () => {
              if (context.attempt < 3) throw new Error(`the packing machine jammed (attempt ${context.attempt})`);
              return { parcel: `parcel-${orderId}` };
            })(context),
          ),
      ]);

      const shipment = await step.invoke<{ tracking: string }>(
        'ship',
        { orderId, parcel: parcel.parcel },
        { timeout: '1m' },
      );
      return { receipt: receipt.receiptId, approvedBy: approval.by, tracking: shipment.tracking };
    },
  );

  const ship = createFunction({ id: 'ship', triggers: [] }, async ({ event, step }) => {
    const { orderId, parcel } = event.data;
    return step.run(
      'hand-to-carrier',
      ledger.body(orderId, 'hand-to-carrier', () => ({ tracking: `track-${parcel}` }), 250),
    );
  });

  return [processOrder, ship];
}
