// Express: serve() as a route of an Express application.
//
//   npm start                                 in one terminal: an engine
//   npx node examples/express/server.ts       in another: this
//   curl -X POST localhost:3000/orders -H 'content-type: application/json' -d '{"prices":[20,22]}'
//
// Look at the one line that makes the endpoint: app.post('/api/ironflow', serve({ functions })). It may stand behind
// express.json(), as here, or before it. It listens on port 3000, or PORT.

import { createClient, createFunction, serve } from '@ironflow/node';
import express from 'express';

const invoice = createFunction(
  { id: 'express-invoice', triggers: [{ event: 'order.shipped' }] },
  async ({ event, step }) => {
    const total = await step.run('add-up', () =>
      (event.data.prices as number[]).reduce((sum, price) => sum + price, 0),
    );
    await step.sleep('let-the-order-arrive', '100ms');
    return { total };
  },
);

const client = createClient();
const app = express();
app.use(express.json({ limit: '32mb' }));

// With IRONFLOW_SIGNING_KEY set here and on the engine, requests that the engine did not sign are refused.
app.post('/api/ironflow', serve({ functions: [invoice], logger: false }));

app.post('/orders', async (request, response) => {
  const { output, status } = await client.emitSync('order.shipped', request.body);
  response.json({ status, output });
});

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', async () => {
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  await client.registerFunction({
    id: invoice.id,
    triggers: [{ event: 'order.shipped' }],
    endpointUrl: `${url}/api/ironflow`,
  });
  console.log(`listening: ${url}`);
});
process.once('SIGTERM', () => server.close());
