// Next.js, App Router: the route that the engine calls. This folder is a whole application. Pack the three packages as docs/start.md
// says, and with an engine running (`npm start` in the repository), here:
//
//   npm ci && npm install --no-save ../../../ironflow-packages/*.tgz
//   npm run build && npm start                                          in one terminal
//   node register.mjs                                                   in another, once
//   curl localhost:3000/orders -d '{"prices":[20,22]}'
//
// `npm run test:next`, in the repository, does all of that by itself in a temporary folder.
//
// Look at how little there is: a route handler takes a Request and returns a Response, and so does serve().

import { serve } from '@ironflow/node';
import { invoice } from '../../../functions/invoice';

export const POST = serve({
  functions: [invoice],
  signingKey: process.env['IRONFLOW_SIGNING_KEY'],
  logger: false,
});
