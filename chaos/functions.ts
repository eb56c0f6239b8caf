// The work under chaos: each order goes through every kind of step, and what it returns follows from its number alone.

import { appendFileSync } from 'node:fs';
import { createFunction, type IronflowFunction, type StepContext } from '@ironflow/node';

export interface LedgerLine {
  readonly at: number;
  readonly order: number;
  /** The step's id in its run: the same for every attempt. */
  readonly id: string;
  readonly attempt: number;
  readonly worker: number;
  readonly what: 'started' | 'ended';
}

/** What a run of order `n` returns. */
export const resultOf = (n: number) => ({ n, charged: n * 3, shipped: `parcel ${n}`, receipt: `receipt ${n}` });

/** The functions, with bodies that write into a ledger outside the engine when they start and when they end. */
export function functionsFor(ledgerPath: string): readonly IronflowFunction[] {
  const body =
    <T>(order: number, ms: number, work: (attempt: number) => T) =>
    async ({ attempt, idempotencyKey: id }: StepContext): Promise<T> => {
      const write = (what: LedgerLine['what']) => {
        const line: LedgerLine = { at: Date.now(), order, id, attempt, worker: process.pid, what };
        appendFileSync(ledgerPath, `${JSON.stringify(line)}\n`);
      };
      write('started');
      await new Promise((resolve) => setTimeout(resolve, ms));
      const result = work(attempt);
      write('ended');
      return result;
    };

  const receipt = createFunction({ id: 'chaos-receipt', triggers: [] }, async ({ event, step }) => {
    const { n } = event.data as { n: number };
    await step.sleep('ink', 50);
    return step.run(
      'print',
      body(n, n % 7, () => `receipt ${n}`),
    );
  });

  const retry = { maxAttempts: 50, initialDelayMs: 50, maxDelayMs: 400 };
  const order = createFunction(
    { id: 'chaos-order', triggers: [{ event: 'chaos.order' }], retry },
    async ({ event, step }) => {
      const { n } = event.data as { n: number };
      await step.run(
        'validate',
        body(n, 0, () => null),
      );
      const charged = await step.run(
        'charge',
        body(n, n % 40, () => n * 3),
      );
      await step.sleep('cooling', 20 + ((n * 37) % 900));
      const [shipped] = await step.parallel('fulfil', [
        async (s) => {
          await s.waitForEvent('approval', { event: 'chaos.approval', match: 'data.n', timeout: '1h' });
          return s.run(
            'ship',
            body(n, n % 25, () => `parcel ${n}`),
          );
        },
        async (s) =>
          s.run(
            'notify',
            body(n, 5, (attempt) => {
              if (n % 3 === 0 && attempt < 3) throw new Error('the mail server is away');
              return null;
            }),
          ),
      ]);
      const printed = await step.invoke('chaos-receipt', { n }, { timeout: '1h' });
      return { n, charged, shipped, receipt: printed };
    },
  );
  return [order, receipt];
}
