// Runs each example of docs/reference/steps.md as the body of a function. The page's own declarations stand for services.

import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { createFunction, type FunctionContext } from '@ironflow/node';
import { expect, test, vi } from 'vitest';
import { startWith } from './test-support/index.ts';

const page = readFileSync(new URL('../../docs/reference/steps.md', import.meta.url), 'utf8');

/** The visible code of the page, each with the heading that it stands under. */
const examples = page.split(/^##+ /m).flatMap((section) => {
  const heading = section.split('\n', 1)[0] ?? '';
  return [...section.matchAll(/^```ts continued\n(.*?)^```/gms)].map(([, code = '']) => [heading, code] as const);
});

type Handler = (context: FunctionContext, services: Record<string, unknown>) => Promise<void>;

/** What an example takes for granted: the page declares it, or an example further up made it. */
const services = {
  chargeCard: async (amount: number, key: string) => ({ id: `${key} ${amount}` }),
  transfer: async (amount: number, key: string) => ({ id: `${key} ${amount}` }),
  refund: async () => {},
  pack: async (sku: string) => `parcel of ${sku}`,
  receipt: { id: 'r1' },
};

function handlerFrom(code: string): Handler {
  const names = Object.keys(services).join(', ');
  // The example has a block of its own, in which it may declare what the parameters declare.
  const source = `async ({ event, step }, { ${names} }) => { { ${stripTypeScriptTypes(code)} } }`;
  return new Function(`return ${source}`)() as Handler; // an async arrow function, by its own text
}

test.each(examples)('%s', async (_, code) => {
  const handler = handlerFrom(code);
  const example = createFunction({ id: 'example', triggers: [{ event: 'start' }] }, (context) =>
    handler(context, services),
  );
  const report = createFunction({ id: 'make-report', triggers: [] }, async () => ({ url: 'https://x.test' }));
  const confirmation = createFunction({ id: 'send-confirmation', triggers: [] }, async () => 'sent');
  const { client } = await startWith(example, report, confirmation);
  const { runIds } = await client.emit('start', { orderId: 'o1', amount: 40, items: [{ sku: 'a' }, { sku: 'b' }] });
  for (const name of ['order.approved', 'payment.received', 'order.cancelled'])
    await client.emit(name, { orderId: 'o1', amount: 200.5, by: 'alice', reason: 'changed my mind' });

  const [runId = ''] = runIds;
  await vi.waitFor(async () => {
    const run = await client.getRun(runId, { steps: true });
    expect(run.error).toBeUndefined();
    // Nobody waits for a quarter of an hour here: a sleep that has begun is one that works.
    const sleeps = run.waits.length > 0 && run.waits.every(({ kind }) => kind === 'sleep');
    expect(sleeps || run.status === 'completed', run.why).toBe(true);
  }, 10_000);
  // A compensation is registered, and recorded only when it runs.
  const { steps } = await client.getRunSteps(runId);
  expect(steps.length).toBeGreaterThan(code.startsWith('step.compensate') ? -1 : 0);
});

test('every primitive has an example', () => {
  const shown = examples.map(([, code]) => code).join('\n');
  const primitives = ['run', 'sleep', 'sleepUntil', 'waitForEvent', 'waitForAny', 'invoke', 'invokeAsync'];
  for (const name of [...primitives, 'publish', 'compensate', 'parallel', 'map'])
    expect(shown, name).toMatch(new RegExp(`\\bstep\\.${name}[<(]`));
});
