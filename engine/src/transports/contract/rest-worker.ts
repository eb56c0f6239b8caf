// For tests of REST workers of the published SDK.

import { ContractEngine, PublishedWorker, pullFunction } from './published-sdk.ts';

export const soon = (ms = 30) => new Date(Date.now() + ms);

/** An engine with one function `f`, started by `go`, and a worker that has it. */
export async function openWithWorker(
  registration: Readonly<Record<string, unknown>> = {},
  options: Parameters<typeof ContractEngine.open>[0] = {},
) {
  const engine = await ContractEngine.open(options);
  const worker = await PublishedWorker.start(engine, [pullFunction('f', 'go', registration)]);
  return { engine, worker };
}
