// Next.js, App Router: the route that the engine calls. Copy `app` and `functions` into a Next application, and register the function
// once, from a script or when you deploy:
//
//   await createClient().registerFunction({
//     id: 'next-invoice',
//     triggers: [{ event: 'order.shipped' }],
//     endpointUrl: 'https://your-app.example/api/ironflow',
//   });
//
// Look at how little there is: a route handler takes a Request and returns a Response, and so does serve().

import { serve } from '@ironflow/node';
import { invoice } from '../../../functions/invoice.ts';

export const POST = serve({
  functions: [invoice],
  signingKey: process.env['IRONFLOW_SIGNING_KEY'],
  logger: false,
});
