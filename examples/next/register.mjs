// What a deployment does once: tells the engine which event starts the function and where it is served. `node register.mjs [address]`

import { createClient } from '@ironflow/node';

const address = process.argv[2] ?? 'http://localhost:3000';
const { created } = await createClient().registerFunction({
  id: 'next-invoice',
  triggers: [{ event: 'order.shipped' }],
  endpointUrl: `${address}/api/ironflow`,
});
console.log(created ? 'registered: new' : 'registered: known already');
