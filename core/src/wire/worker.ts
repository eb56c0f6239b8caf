// The REST worker's own calls: registration, heartbeat, acknowledgement.

import { z } from 'zod';
import { limits } from '../limits.ts';
import type { WorkerHello } from './job.ts';
import { eitherCase, parseInput } from './parse.ts';

const registerWorkerRequest = eitherCase({
  hostname: z.string().max(limits.nameLengthMax).nullish(),
  functionIds: z.array(z.string().max(limits.nameLengthMax)).max(limits.functionsPerWorkerMax),
  functionVersions: z.record(z.string(), z.number().int()).nullish(),
  maxConcurrentJobs: z.number().int().min(1).max(limits.jobsPerWorkerMax).nullish(),
  labels: z.record(z.string(), z.string()).nullish(),
  version: z.object({ sdk: z.string().nullish(), runtime: z.string().nullish() }).nullish(),
  capabilities: z.array(z.string().max(64)).max(64).nullish(),
  heartbeatIntervalMs: z.number().positive().nullish(),
  /** Suspended executions that the worker keeps in memory, at most. */
  executionsKept: z.number().int().min(0).nullish(),
  /** Heartbeats that the worker has sent before, where it counts them. */
  beat: z.number().int().min(0).nullish(),
});

/** Jobs a worker takes at a time when it does not say. */
export const jobsMaxDefault = 10;

/** @throws {ValidationError} */
export function workerHelloFromJson(input: unknown, workerId: string): WorkerHello {
  const wire = parseInput(registerWorkerRequest, input, 'worker registration');
  return {
    workerId,
    hostname: wire.hostname ?? '',
    functionIds: wire.functionIds,
    functionVersions: wire.functionVersions ?? {},
    jobsMax: wire.maxConcurrentJobs ?? jobsMaxDefault,
    labels: wire.labels ?? {},
    version: { sdk: wire.version?.sdk ?? '', runtime: wire.version?.runtime ?? '' },
    capabilities: wire.capabilities ?? [],
    ...(wire.heartbeatIntervalMs != null && { heartbeatMs: wire.heartbeatIntervalMs }),
    ...(wire.executionsKept != null && { executionsKept: wire.executionsKept }),
    ...(wire.beat != null && { beat: wire.beat }),
  };
}

export function workerHelloToJson(hello: WorkerHello): Readonly<Record<string, unknown>> {
  return {
    worker_id: hello.workerId,
    hostname: hello.hostname,
    function_ids: hello.functionIds,
    function_versions: hello.functionVersions,
    max_concurrent_jobs: hello.jobsMax,
    labels: hello.labels,
    version: hello.version,
    capabilities: hello.capabilities,
    heartbeat_interval_ms: hello.heartbeatMs,
    executions_kept: hello.executionsKept,
    beat: hello.beat,
  };
}

export const heartbeatRequest = eitherCase({
  activeJobs: z.number().nullish(),
  jobs: z.array(z.object({ job_id: z.string() })).nullish(),
  /** Polls before this number are over for the worker: what they carried it holds, or will never hold. */
  poll: z.number().int().nullish(),
  /** The number of this heartbeat, from 1: one that comes after a later one is known for old. */
  beat: z.number().int().min(1).nullish(),
});

export const acknowledgeRequest = eitherCase({
  runId: z.string().nullish(),
  executionSeq: z.number().int().nullish(),
  leaseToken: z.string().nullish(),
});
