// No engine: plain functions in memory. The bench's own ceiling, and the smallest adapter.

import { large, one, stamped, timeSteps } from '../bodies.ts';
import type { Contender } from '../contender.ts';
import type { WorkflowKind } from '../workflow-kinds.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export async function open(): Promise<Contender> {
  const answers = new Map<string, () => void>();
  const workflows: Readonly<Record<WorkflowKind, (argument: number, key: string) => Promise<unknown>>> = {
    async seq(n) {
      const results: unknown[] = [];
      for (let i = 0; i < n; i++) results.push(await one(i));
      return results;
    },
    fan: (n) => Promise.all(Array.from({ length: n }, async (_, i) => one(i))),
    nap: async (ms) => [stamped(0), await pause(ms).then(() => stamped(1))],
    wait: async (_, key) => [await new Promise<void>((resolve) => answers.set(key, resolve)).then(() => stamped(0))],
    first: async () => [stamped(0)],
    large: async (bytes) => [large(bytes)],
    flat: (n) => timeSteps(n, async (i) => one(i)),
  };
  return {
    info: { topology: 'one process', durability: 'none', versions: {} },
    pids: () => ({ client: process.pid }),
    async start(kind, argument, key) {
      const result = workflows[kind](argument, key);
      return { result: () => result };
    },
    deliver: async (key) => answers.get(key)?.(),
    close: async () => {},
  };
}
