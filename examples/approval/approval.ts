// Human approval: a run asks, and goes on when somebody has answered, or when nobody has for too long.
//
//   npx node examples/approval/approval.ts
//
// Look at `waitForAny`. The run waits for whichever answer comes first and holds no worker meanwhile: it could wait for a month. An
// answer is an event that anyone may emit, from a web route behind a button or with curl; `match` sees to it that it is for this
// expense. That nobody answered is an error like any other: it is caught, and the expense goes to somebody else.

import { createEngine } from '@ironflow/engine';
import { createClient, createFunction, createWorker, WaitTimeoutError } from '@ironflow/node';
import { z } from 'zod';

const reimburse = createFunction(
  {
    id: 'reimburse',
    triggers: [{ event: 'expense.filed' }],
    schema: z.object({ expenseId: z.string(), amount: z.number() }),
  },
  async ({ event, step }) => {
    const { expenseId, amount } = event.data;
    for (const approver of ['team lead', 'head of finance']) {
      await step.run('ask', () => console.log(`mail: ${approver}, may we pay ${amount} for ${expenseId}?`));
      try {
        const answer = await step.waitForAny('answer', {
          approved: { event: 'expense.approved', match: 'data.expenseId' },
          rejected: { event: 'expense.rejected', match: 'data.expenseId' },
          timeout: '500ms', // days, where people are asked
        });
        if (answer.which === 'rejected') return { paid: 0, because: answer.event.data.reason as string };
        await step.run('pay', () => console.log(`bank: ${amount} for ${expenseId}`));
        return { paid: amount, because: `approved by ${answer.event.data.by}` };
      } catch (error) {
        if (!(error instanceof WaitTimeoutError)) throw error;
      }
    }
    return { paid: 0, because: 'nobody answered' };
  },
);

const engine = await createEngine({ store: 'memory' }); // nothing is left behind
const worker = createWorker({ functions: [reimburse], engine, logger: false });
const client = createClient({ engine });
const working = worker.start();
await worker.ready;

async function file(expenseId: string, amount: number): Promise<string> {
  const { runIds } = await client.emit('expense.filed', { expenseId, amount });
  return runIds[0] ?? '';
}

const runs = [await file('taxi', 40), await file('yacht', 90_000), await file('lunch', 15)];
// What the buttons in the mails do. Nobody presses one for lunch.
await client.emit('expense.approved', { expenseId: 'taxi', by: 'alice' });
await client.emit('expense.rejected', { expenseId: 'yacht', by: 'alice', reason: 'we have one' });

for (const runId of runs) {
  const run = await client.waitForRun(runId);
  console.log(`run: ${run.status} ${JSON.stringify(run.output)}`);
}

await worker.drain();
await working;
await engine.close();
