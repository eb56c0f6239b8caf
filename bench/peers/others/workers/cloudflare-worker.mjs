// Runs inside workerd, not Node, and is handed over as one text.

import { WorkflowEntrypoint } from 'cloudflare:workers';

const stamp = (i) => ({ i, ok: true, at: Date.now() });

export class Bench extends WorkflowEntrypoint {
  async run(event, step) {
    const { kind, n } = event.payload;
    const one = (i) => step.do(`step ${i}`, async () => ({ i, ok: true }));
    switch (kind) {
      case 'seq': {
        const results = [];
        for (let i = 0; i < n; i++) results.push(await one(i));
        return results;
      }
      case 'fan':
        return Promise.all(Array.from({ length: n }, (_, i) => one(i)));
      case 'nap': {
        const before = await step.do('before', async () => stamp(0));
        await step.sleep('nap', n);
        return [before, await step.do('after', async () => stamp(1))];
      }
      case 'wait':
        await step.waitForEvent('answer', { type: 'answer', timeout: '1 hour' });
        return [await step.do('after', async () => stamp(0))];
      case 'first':
        return [await step.do('step', async () => stamp(0))];
      case 'large':
        return [await step.do('step', async () => ({ i: 0, ok: true, body: 'x'.repeat(n) }))];
      default:
        throw new Error(`there is no kind ${kind}`);
    }
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const id = url.searchParams.get('id');
    if (url.pathname === '/start') {
      const params = { kind: url.searchParams.get('kind'), n: Number(url.searchParams.get('n')) };
      // A request is sent again when its connection breaks: then there may be one already, and get() says so.
      await env.BENCH.create({ id, params }).catch(() => env.BENCH.get(id));
      return Response.json({ id });
    }
    const instance = await env.BENCH.get(id);
    if (url.pathname === '/answer') {
      await instance.sendEvent({ type: 'answer', payload: {} });
      return Response.json({ id });
    }
    const every = Number(url.searchParams.get('every'));
    for (;;) {
      // There is no way to wait for a result but to ask.
      const state = await instance.status();
      if (state.status === 'complete') return Response.json(state.output);
      if (state.status === 'errored' || state.status === 'terminated') return Response.json(state, { status: 500 });
      await scheduler.wait(every);
    }
  },
};
