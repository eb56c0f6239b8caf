// For tests: engines on a clock that is moved by hand, and workers that execute real functions on it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  capabilities,
  parseFunctionRegistration,
  type Report,
  type ReportAnswer,
  type WorkerLine,
} from '@ironflow/core/wire';
import { type IronflowFunction, registrationOf } from '../../../src/function/index.ts';
import { JobPool } from '../../../src/worker/job-pool.ts';
import { WarmExecutions } from '../../../src/worker/warm-executions.ts';
import { Engine, type EngineSettings } from '../engine.ts';
import { createIds } from '../ports/ids.ts';
import { type Logger, silentLogger } from '../ports/logger.ts';
import { VirtualClock } from '../ports/virtual-clock.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Store } from '../store/port.ts';

export { VirtualClock } from '../ports/virtual-clock.ts';

export interface TestEngine {
  readonly engine: Engine;
  readonly clock: VirtualClock;
  readonly store: Store;
  emit(
    name: string,
    data?: unknown,
    options?: { readonly idempotencyKey?: string },
  ): Promise<{ eventId: string; runIds: readonly string[] }>;
  /** Connects a worker that executes these functions. */
  worker(functions: readonly IronflowFunction[], options?: TestWorkerOptions): Promise<TestWorker>;
}

export interface TestWorkerOptions {
  readonly id?: string;
  readonly jobsMax?: number;
  /** Whether it keeps suspended executions. Default: it does. */
  readonly warm?: boolean;
  /** Stands between the worker and the engine: to lose, delay or look at reports. */
  readonly between?: (report: Report, send: (report: Report) => Promise<ReportAnswer>) => Promise<ReportAnswer>;
}

export interface TestWorker {
  readonly pool: JobPool;
  readonly line: WorkerLine;
  /** The suspended executions it keeps. */
  readonly warm: WarmExecutions | undefined;
  /** Ends without a word, as a killed process does. Its leases stay until the engine notices. */
  crash(): void;
}

export const env = 'default';

/** An engine on a memory store and a clock that is moved by hand. */
export async function openTestEngine(
  options: {
    readonly store?: Store;
    readonly clock?: VirtualClock;
    readonly settings?: EngineSettings;
    readonly logger?: Logger;
  } = {},
): Promise<TestEngine> {
  const clock = options.clock ?? new VirtualClock();
  const store = options.store ?? new MemoryStore();
  const engine = new Engine({
    store,
    clock,
    ids: createIds(),
    logger: options.logger ?? silentLogger,
    settings: options.settings,
  });
  await store.migrate();
  await engine.start();
  let workers = 0;
  return {
    engine,
    clock,
    store,
    emit: (name, data = {}, { idempotencyKey } = {}) =>
      engine.emit({
        env,
        name,
        data: JSON.stringify(data) as never, // JSON text
        version: 1,
        metadata: null,
        idempotencyKey: idempotencyKey ?? null,
        source: null,
        runId: null,
      }),
    worker: (functions, workerOptions = {}) =>
      connectTestWorker(engine, clock, functions, { id: `test-worker-${++workers}`, ...workerOptions }),
  };
}

async function connectTestWorker(
  engine: Engine,
  clock: VirtualClock,
  functions: readonly IronflowFunction[],
  { id = 'test-worker', jobsMax = 100, warm = true, between }: TestWorkerOptions,
): Promise<TestWorker> {
  const functionVersions: Record<string, number> = {};
  for (const fn of functions) {
    const registration = registrationOf(fn, { mode: 'pull', codeHash: fn.handler.toString() });
    functionVersions[fn.id] = (await engine.registerFunction(env, parseFunctionRegistration(registration))).version;
  }
  const kept = warm ? new WarmExecutions(clock) : undefined;
  const pool = new JobPool({
    functions: new Map(functions.map((fn) => [fn.id, fn])),
    jobsMax,
    turns: clock,
    logger: silentLogger,
    warm: kept,
  });
  let crashed = false;
  const ready = Promise.withResolvers<WorkerLine>();
  const send = async (report: Report) => {
    const { report: toEngine } = await ready.promise;
    // A dead worker sends nothing, and hears nothing of what it has sent.
    if (crashed) return new Promise<never>(() => {});
    const answer = await (between === undefined ? toEngine(report) : between(report, toEngine));
    return crashed ? new Promise<never>(() => {}) : answer;
  };
  const line = await engine.workers.connect(
    env,
    {
      workerId: id,
      hostname: 'test',
      functionIds: functions.map((fn) => fn.id),
      functionVersions,
      jobsMax,
      labels: {},
      version: { sdk: 'test', runtime: 'test' },
      capabilities: [...capabilities],
    },
    {
      assigned: (offer) => {
        if (!crashed) pool.add(offer, { report: send, whole: async (jobId) => (await ready.promise).whole(jobId) });
      },
      resolved: (jobId, resolution) => pool.resolve(jobId, resolution),
      revoked: (jobId, _code, message) => pool.drop(jobId, message),
    },
  );
  ready.resolve(line);
  const renewLater = () =>
    clock.setTimer(line.leaseMs / 3, () => {
      if (crashed) return;
      renewLater();
      line.renew().catch(() => {}); // the engine is closing
    });
  renewLater();
  return {
    pool,
    line,
    warm: kept,
    crash() {
      crashed = true;
      pool.dropAll('crashed');
    },
  };
}

/** A fresh directory for a test; `remove` it at the end. */
export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'ironflow-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
