// How functions behave, whatever carries them: the same tests over every transport. The tests speak to the engine through the
// public client alone, in real time; durations that are slept are a few milliseconds.

import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { IronflowClient, IronflowFunction, Run } from '../../src/index.ts';
import { createFunction } from '../../src/index.ts';
import { testCrowd } from './functions/crowd.ts';
import { testData } from './functions/data.ts';
import { testEnds } from './functions/ends.ts';
import { testFailures } from './functions/failures.ts';
import { testLoad } from './functions/load.ts';
import { type BehaviourParts, fast, type ProvideOptions } from './functions/parts.ts';
import { testSteering } from './functions/steering.ts';
import { testSteps } from './functions/steps.ts';
import { testTimeouts } from './functions/timeouts.ts';
import { testWaits } from './functions/waits.ts';

export interface BehaviourHarness {
  readonly client: IronflowClient;
  /** Makes functions available to the engine, by the transport under test. */
  provide(functions: readonly IronflowFunction[], options?: ProvideOptions): Promise<void>;
  setSecret(name: string, value: string): Promise<void>;
  close(): Promise<void>;
}

export function describeBehaviour(transport: string, open: () => Promise<BehaviourHarness>): void {
  describe(`functions over ${transport}`, () => {
    let harness: BehaviourHarness;
    let made = 0;

    beforeAll(async () => {
      harness = await open();
    });
    afterAll(() => harness.close());

    const nextId = () => `f${++made}`;

    const define = (
      handler: Parameters<typeof createFunction>[1],
      config: Partial<Parameters<typeof createFunction>[0]> = {},
    ): IronflowFunction => {
      const id = nextId();
      return createFunction({ retry: fast, triggers: [{ event: `start.${id}` }], ...config, id }, handler);
    };

    const start = async (fn: IronflowFunction, data: unknown = {}): Promise<string> => {
      const { runIds } = await harness.client.emit(`start.${fn.id}`, data);
      expect(runIds).toHaveLength(1);
      return runIds[0] ?? '';
    };

    const finish = async (runId: string): Promise<Run> => {
      const run = await harness.client.waitForRun(runId, { timeout: 20_000 });
      if (run.endedAt === undefined) throw new Error(`run ${runId} has not ended: ${JSON.stringify(run)}`);
      return run;
    };

    const execute = async (fn: IronflowFunction, data?: unknown): Promise<Run> => {
      await harness.provide([fn]);
      return finish(await start(fn, data));
    };

    const parts: BehaviourParts = {
      client: () => harness.client,
      nextId,
      define,
      provide: (functions, options) => harness.provide(functions, options),
      setSecret: (name, value) => harness.setSecret(name, value),
      start,
      finish,
      execute,
    };
    testSteps(parts);
    testWaits(parts);
    testFailures(parts);
    testTimeouts(parts);
    testData(parts);
    testEnds(parts);
    testLoad(parts);
    testCrowd(parts);
    testSteering(parts);
  });
}
