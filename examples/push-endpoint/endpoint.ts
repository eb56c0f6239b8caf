// Push: the engine calls your functions over HTTP. An endpoint made with serve() on plain node:http, registered with the client.
//
//   npm start                                      in one terminal: an engine
//   npx node examples/push-endpoint/endpoint.ts    in another: this
//
// Look at the two things an endpoint needs: serve() answers the engine's requests, and registerFunction() tells the engine what
// starts the function and where it is served. A real endpoint goes on listening; this one ends after one invoice. It listens on
// port 3000, or PORT.

import { createServer } from 'node:http';
import { createClient, createFunction, serve } from '@ironflow/node';

const invoice = createFunction({ id: 'invoice', triggers: [{ event: 'order.shipped' }] }, async ({ event, step }) => {
  const total = await step.run('add-up', () => {
    console.log('step: add-up');
    return (event.data.prices as number[]).reduce((sum, price) => sum + price, 0);
  });
  await step.sleep('let-the-order-arrive', '200ms');
  await step.run('send', ({ idempotencyKey }) => {
    console.log('step: send');
    return { sent: true, idempotencyKey };
  });
  return { total };
});

// With IRONFLOW_SIGNING_KEY set here and on the engine, requests that the engine did not sign are refused.
const handler = serve({ functions: [invoice], logger: false });
const server = createServer((request, response) => void handler(request, response));
await new Promise<void>((resolve) => server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', resolve));
const address = server.address();
const endpointUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/api/ironflow`;
console.log(`endpoint: ${endpointUrl}`);

const client = createClient();
try {
  const { created } = await client.registerFunction({
    id: invoice.id,
    triggers: [{ event: 'order.shipped' }],
    endpointUrl,
  });
  console.log(created ? 'registered: new' : 'registered: known already');

  const { output, status } = await client.emitSync('order.shipped', { orderId: '7', prices: [20, 22] });
  console.log(`run: ${status} ${JSON.stringify(output)}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  server.closeAllConnections();
  server.close();
}
