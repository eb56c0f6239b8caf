// The Restate service endpoint, a process of its own. Logs only warnings.

import * as restate from '@restatedev/restate-sdk';
import { large, one, stamped, timeSteps } from '../../bodies.ts';

const handlers = {
  async seq(ctx, { n }) {
    const results = [];
    for (let i = 0; i < n; i++) results.push(await ctx.run('step', () => one(i)));
    return results;
  },
  fan: async (ctx, { n }) =>
    restate.RestatePromise.all(Array.from({ length: n }, (_, i) => ctx.run('step', () => one(i)))),
  async nap(ctx, { n }) {
    const before = await ctx.run('before', () => stamped(0));
    await ctx.sleep(n);
    return [before, await ctx.run('after', () => stamped(1))];
  },
  first: async (ctx) => [await ctx.run('step', () => stamped(0))],
  large: async (ctx, { n }) => [await ctx.run('step', () => large(n))],
  flat: (ctx, { n }) => timeSteps(n, (i) => ctx.run('step', () => one(i))),
};
const wait = restate.workflow({
  name: 'wait',
  handlers: {
    async run(ctx) {
      await ctx.promise('answer');
      return [await ctx.run('after', () => stamped(0))];
    },
    answer: (ctx) => ctx.promise('answer').resolve(true),
  },
});
restate.serve({
  services: [
    ...Object.entries(handlers).map(([name, run]) => restate.workflow({ name, handlers: { run } })),
    wait,
    restate.service({ name: 'plain', handlers }),
  ],
  port: Number(process.env.PORT),
  logger(meta, ...parts) {
    if (meta.level === 'error' || meta.level === 'warn') console.error(meta.level, ...parts);
  },
});
