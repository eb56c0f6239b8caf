// Hono: serve() as a route of a Hono application, on Node. On Deno, Bun or Workers only the last lines differ.
//
//   npm start                               in one terminal: an engine
//   npx node examples/hono/server.ts        in another: this
//   curl -X POST localhost:3000/orders -H 'content-type: application/json' -d '{"prices":[20,22]}'
//
// Look at the one line that makes the endpoint: app.post('/api/ironflow', serve({ functions })). It listens on port 3000, or
// PORT.

import { serve as listen } from '@hono/node-server';
import { createClient, createFunction, serve } from '@ironflow/node';
import { Hono } from 'hono';

const invoice = createFunction(
  { id: 'hono-invoice', triggers: [{ event: 'order.shipped' }] },
  async ({ event, step }) => {
    const total = await step.run('add-up', () =>
      (event.data.prices as number[]).reduce((sum, price) => sum + price, 0),
    );
    await step.sleep('let-the-order-arrive', '100ms');
    return { total };
  },
);

const client = createClient();
const app = new Hono();

// With IRONFLOW_SIGNING_KEY set here and on the engine, requests that the engine did not sign are refused.
app.post('/api/ironflow', serve({ functions: [invoice], logger: false }));

app.post('/orders', async (context) => {
  const { output, status } = await client.emitSync('order.shipped', await context.req.json());
  return context.json({ status, output: output as { total: number } });
});

const server = listen(
  { fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT'] ?? 3000) },
  async ({ port }) => {
    const url = `http://127.0.0.1:${port}`;
    await client.registerFunction({
      id: invoice.id,
      triggers: [{ event: 'order.shipped' }],
      endpointUrl: `${url}/api/ironflow`,
    });
    console.log(`listening: ${url}`);
  },
);
process.once('SIGTERM', () => server.close());
