// A route of the application itself: emits an event and waits for what the function makes of it.

import { createClient } from '@ironflow/node';

export async function POST(request: Request): Promise<Response> {
  const { output, status } = await createClient().emitSync('order.shipped', await request.json());
  return Response.json({ status, output });
}
