// An ordinary durable function. It does not know that it is called over HTTP, nor by whom.

import { createFunction } from '@ironflow/node';

export const invoice = createFunction(
  { id: 'next-invoice', triggers: [{ event: 'order.shipped' }] },
  async ({ event, step }) => {
    const total = await step.run('add-up', () =>
      (event.data.prices as number[]).reduce((sum, price) => sum + price, 0),
    );
    await step.sleep('let-the-order-arrive', '100ms');
    return { total };
  },
);
