// Quickstart: one function with a step, a sleep and a wait; engine, worker and client in this process.
//
//   npx node examples/quickstart/quickstart.ts
//
// Look at `welcome`. Each `step.*` is stored before the next one starts. As long as its worker lives, the handler goes on where
// it is; where the worker does not keep it (here it keeps none: `warmExecutions: false`), or has died, the handler runs again from
// its top, and what is stored is given back instead of done again. So "handler" is printed more often than "mail".

import { createEngine } from '@ironflow/engine';
import { createClient, createFunction, createWorker } from '@ironflow/node';
import { z } from 'zod';

const welcome = createFunction(
  {
    id: 'welcome',
    triggers: [{ event: 'user.signed-up' }],
    schema: z.object({ userId: z.string(), email: z.string() }),
  },
  async ({ event, step }) => {
    console.log('handler: from the top');
    const mail = await step.run('send-welcome', () => {
      console.log(`mail: welcome, ${event.data.email}`);
      return { messageId: `welcome-${event.data.userId}` };
    });
    await step.sleep('settle-in', '300ms');
    const profile = await step.waitForEvent<{ userId: string; name: string }>('profile', {
      event: 'user.profile-completed',
      match: 'data.userId',
      timeout: '1m',
    });
    return { messageId: mail.messageId, name: profile.data.name };
  },
);

// In memory, so that nothing is left behind. Without `store`, everything is kept in ./.ironflow and outlives the process.
const engine = await createEngine({ store: 'memory' });
const worker = createWorker({ functions: [welcome], engine, warmExecutions: false, logger: false });
const client = createClient({ engine });

const working = worker.start();
await worker.ready; // an event starts only functions that the engine knows

const { runIds } = await client.emit('user.signed-up', { userId: 'u1', email: 'ada@example.com' });
const [runId = ''] = runIds;
console.log('run: started');

// The function has not asked for it yet. A wait looks back to the start of its run, so this event counts all the same.
await client.emit('user.profile-completed', { userId: 'u1', name: 'Ada' });

const run = await client.waitForRun(runId);
console.log(`run: ${run.status} ${JSON.stringify(run.output)}`);
const { steps } = await client.getRunSteps(runId);
for (const { name, type, status } of steps) console.log(`step: ${name} (${type}) ${status}`);

await worker.drain();
await working;
await engine.close();
