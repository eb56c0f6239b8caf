// What a function sees live is what it sees on replay: random functions of steps, waits, races and branches run on a real
// engine, with workers that die in the middle; every execution must take the path that the last one takes, and so must one that
// replays the whole of what is stored.

import { NonRetryableError } from '@ironflow/core';
import type { Report } from '@ironflow/core/wire';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAssignment } from '../../engine/src/queries/assignment.ts';
import { runs } from '../../engine/src/store/tables.ts';
import { env, openTestEngine } from '../../engine/src/test-support/index.ts';
import { createFunction } from '../function/index.ts';
import { createJob } from '../job/index.ts';
import { loggerFrom } from '../logger.ts';
import type { StepClient } from '../step/index.ts';
import { accepted, turns, VirtualClock } from '../test-support/index.ts';
import { watchRejections } from '../test-support/rejections.ts';

type Node =
  | { readonly kind: 'step'; readonly name: string; readonly ms: number; readonly end: 'value' | 'flaky' | 'fails' }
  | { readonly kind: 'sleep' | 'wait' | 'invoke'; readonly name: string; readonly ms: number }
  | { readonly kind: 'ticks'; readonly count: number }
  | { readonly kind: 'sequence' | 'all' | 'race' | 'settled'; readonly nodes: readonly Node[] }
  | {
      readonly kind: 'parallel';
      readonly name: string;
      readonly nodes: readonly Node[];
      readonly concurrency: number;
      readonly onError: 'failFast' | 'allSettled';
    }
  | { readonly kind: 'caught' | 'detached'; readonly node: Node };

/** Few names and few moments, so that steps share both. */
const name = fc.constantFrom('a', 'b', 'c:d');
const ms = fc.constantFrom(0, 0, 1, 2, 5, 10);

const { node } = fc.letrec<{ node: Node; nodes: Node[] }>((tie) => ({
  nodes: fc.array(tie('node'), { minLength: 1, maxLength: 4 }),
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constant('step'), name, ms, end: fc.constantFrom('value', 'value', 'flaky', 'fails') }),
    fc.record({ kind: fc.constantFrom('sleep', 'wait', 'invoke'), name, ms: ms.map((one) => one + 1) }),
    fc.record({ kind: fc.constant('ticks'), count: fc.nat({ max: 20 }) }),
    fc.record({ kind: fc.constantFrom('sequence', 'all', 'race', 'settled'), nodes: tie('nodes') }),
    fc.record({ kind: fc.constantFrom('caught', 'detached'), node: tie('node') }),
    fc.record({
      kind: fc.constant('parallel'),
      name,
      nodes: tie('nodes'),
      concurrency: fc.constantFrom(1, 2, 9),
      onError: fc.constantFrom('failFast', 'allSettled'),
    }),
  ) as fc.Arbitrary<Node>, // the kinds above
}));

const program = fc.record({
  root: fc.array(node, { minLength: 2, maxLength: 6 }).map((nodes): Node => ({ kind: 'sequence', nodes })),
  crashes: fc.array(fc.nat({ max: 40 }), { maxLength: 3 }),
  pings: fc.array(fc.nat({ max: 40 }), { maxLength: 3 }),
});

type Program = typeof program extends fc.Arbitrary<infer P> ? P : never;

interface World {
  readonly clock: VirtualClock;
  readonly bodies: string[];
  readonly trace: unknown[];
}

async function interpret(node: Node, step: StepClient, world: World): Promise<unknown> {
  const seen = (what: unknown) => {
    world.trace.push(what);
    return what;
  };
  const each = (nodes: readonly Node[]) => nodes.map((one) => interpret(one, step, world));
  switch (node.kind) {
    case 'step':
      return seen(
        await step.run(node.name, async ({ attempt, idempotencyKey }) => {
          world.bodies.push(idempotencyKey);
          if (node.ms > 0) await new Promise<void>((resolve) => world.clock.after(node.ms, resolve));
          if (node.end === 'fails') throw new NonRetryableError(`${node.name} fails`);
          if (node.end === 'flaky' && attempt === 1) throw new Error(`${node.name} is flaky`);
          return `${idempotencyKey} after ${node.ms}`;
        }),
      );
    case 'sleep':
      await step.sleep(node.name, node.ms);
      return seen(`slept ${node.ms}`);
    case 'wait': {
      const event = await step.waitForEvent(node.name, { event: 'ping', timeout: node.ms });
      return seen(event.data);
    }
    case 'invoke':
      return seen(await step.invoke('child', { ms: node.ms }, { timeout: 6 }));
    case 'ticks':
      for (let i = 0; i < node.count; i++) await null;
      return seen('ticked');
    case 'sequence': {
      const results: unknown[] = [];
      for (const one of node.nodes) results.push(await interpret(one, step, world));
      return results;
    }
    case 'all':
      return seen(await Promise.all(each(node.nodes)));
    case 'race':
      return seen(await Promise.race(each(node.nodes)));
    case 'settled':
      return seen((await Promise.allSettled(each(node.nodes))).map(({ status }) => status));
    case 'caught':
      return interpret(node.node, step, world).catch((error: Error) => seen(`caught ${error.name} ${error.message}`));
    case 'detached':
      void interpret(node.node, step, world).catch((error: Error) => seen(`dropped ${error.message}`));
      return seen('detached');
    case 'parallel': {
      const branches = node.nodes.map((one) => (branch: StepClient) => interpret(one, branch, world));
      const { concurrency, onError } = node;
      const results = await step.parallel(node.name, branches, { concurrency, onError });
      return seen(results.map((result) => (result instanceof Error ? result.message : result)));
    }
  }
}

/** Runs the program, and replays what is stored of it. */
async function liveAndReplayed({ root, crashes, pings }: Program) {
  const harness = await openTestEngine();
  const { clock } = harness;
  const bodies: string[] = [];
  const traces: unknown[][] = [];
  const functionOf = (world: Omit<World, 'trace'>, into: unknown[][]) =>
    createFunction(
      { id: 'parent', triggers: [{ event: 'go' }], retry: { maxAttempts: 2, initialDelayMs: 3 } },
      async ({ step }) => {
        const trace: unknown[] = [];
        into.push(trace);
        try {
          return await interpret(root, step, { ...world, trace });
        } finally {
          into.splice(into.indexOf(trace), 1, [...trace, 'end']); // what goes on behind the end is not looked at
        }
      },
    );
  const child = createFunction({ id: 'child', triggers: [] }, async ({ event, step }) => {
    await step.sleep('nap', event.data.ms);
    return step.run('say', () => `child ${event.data.ms}`);
  });
  const parent = functionOf({ clock, bodies }, traces);
  let worker = await harness.worker([parent, child]);
  const { runIds } = await harness.emit('go');
  const runId = runIds[0] ?? '';
  const startedAt = clock.now();
  const events = [...crashes.map((at) => ({ at, crash: true })), ...pings.map((at) => ({ at, crash: false }))];
  for (const { at, crash } of events.sort((a, b) => a.at - b.at)) {
    await clock.advance(Math.max(0, startedAt + at - clock.now()));
    if (crash) {
      worker.crash();
      await worker.line.close();
      worker = await harness.worker([parent, child]);
    } else await harness.emit('ping', { at });
  }
  await clock.advance(3_600_000);
  const run = await harness.engine.getRun(env, runId);

  const [stored] = await harness.store.get(runs, [[runId]]);
  if (stored === null || stored === undefined) throw new Error('the run is gone');
  const assignment = await loadAssignment(harness.store, { ...stored.row, fence: 99 }, undefined, clock.now());
  const again = new VirtualClock(clock.now());
  const replayed: { readonly bodies: string[]; readonly traces: unknown[][] } = { bodies: [], traces: [] };
  const reports: Report[] = [];
  const job = createJob({
    fn: functionOf({ clock: again, bodies: replayed.bodies }, replayed.traces),
    assignment: { ...assignment, waits: [], attempts: [], timeLeftMs: undefined },
    journal: {
      report: async (report) => {
        reports.push(report);
        await turns(again, 1); // as every engine does
        return accepted({ ended: report.end !== undefined });
      },
    },
    turns: again,
    logger: loggerFrom(false),
  });
  const over = job.run();
  await again.advance(3_600_000);
  const recorded = new Set(assignment.memo.map(({ stepId }) => stepId));
  return {
    run,
    traces,
    bodies,
    outcome: await over,
    replayTrace: replayed.traces[0],
    calledAgain: replayed.bodies.filter((stepId) => recorded.has(stepId)),
    end: reports.at(-1)?.end,
  };
}

describe('live and replay', () => {
  let rejections: ReturnType<typeof watchRejections>;
  beforeAll(() => {
    rejections = watchRejections();
  });
  afterAll(() => rejections.stop());

  test('take the same path to the same end, whatever the function and whenever its worker dies', async () => {
    const ends = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(program, async (one) => {
        const { run, traces, outcome, replayTrace, calledAgain, end } = await liveAndReplayed(one);
        expect(['completed', 'failed']).toContain(run.status);
        ends.set(run.status, (ends.get(run.status) ?? 0) + 1);
        const last = traces.at(-1) ?? [];
        expect(last.at(-1)).toBe('end');
        for (const trace of traces) expect(trace).toEqual(last.slice(0, trace.length));
        expect(replayTrace).toEqual(last);
        expect(calledAgain).toEqual([]);
        expect(outcome.status).toBe(run.status);
        if (end?.status === 'completed') expect(end.output).toEqual({ text: JSON.stringify(run.output) });
        if (end?.status === 'failed') expect(end.error.message).toBe(run.error?.message);
        expect(rejections.take()).toEqual([]);
      }),
      { numRuns: Number(process.env['IRONFLOW_REPLAY_RUNS'] ?? 150), endOnFailure: false },
    );
    expect([...ends.keys()].sort()).toEqual(['completed', 'failed']);
  });
});
