import { large, one, stamped, timeSteps } from '../../bodies.ts';

/** Registers the bench's workflows and returns them by kind. */
export function defineWorkflows(DBOS) {
  const step = (body) => DBOS.runStep(async () => body(), { name: 'step' });
  const handlers = {
    async seq(n) {
      const results = [];
      for (let i = 0; i < n; i++) results.push(await step(() => one(i)));
      return results;
    },
    fan: (n) => Promise.all(Array.from({ length: n }, (_, i) => step(() => one(i)))),
    async nap(ms) {
      const before = await step(() => stamped(0));
      await DBOS.sleep(ms);
      return [before, await step(() => stamped(1))];
    },
    async wait() {
      await DBOS.recv('answer', 3600);
      return [await step(() => stamped(0))];
    },
    first: async () => [await step(() => stamped(0))],
    large: async (bytes) => [await step(() => large(bytes))],
    flat: (n) => timeSteps(n, (i) => step(() => one(i))),
  };
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [name, DBOS.registerWorkflow(handler, { name })]),
  );
}
