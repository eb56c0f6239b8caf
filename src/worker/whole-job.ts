import { type Assignment, assignmentFromJson } from '@ironflow/core/wire';
import { jitter } from '../random.ts';
import { pause, type Turns } from '../turns.ts';
import { errorFrom, type Http } from './http.ts';
import type { JobPool } from './job-pool.ts';

const RETRY_MS_FIRST = 50;
const RETRY_MS_MAX = 2_000;

/**
 * Asks the engine for all of a job that came as a continuation, until it answers or the pool holds the job no more.
 * @returns undefined when the job's lease is over.
 * @throws {IronflowError} when the engine refuses the call.
 */
export async function wholeJob(
  http: Http,
  { workerId, jobId }: { readonly workerId: string; readonly jobId: string },
  { pool, turns, stopped }: { readonly pool: JobPool; readonly turns: Turns; readonly stopped: AbortSignal },
): Promise<Assignment | undefined> {
  const path = `/api/v1/workers/${encodeURIComponent(workerId)}/jobs/${encodeURIComponent(jobId)}`;
  for (let failures = 0; pool.has(jobId) && !stopped.aborted; failures++) {
    const answer = await http.call('GET', path, undefined, stopped).catch(() => undefined); // the engine is away
    if (answer?.status === 200) return assignmentFromJson(JSON.parse(answer.body));
    if (answer?.status === 404 || answer?.status === 409) return undefined;
    if (answer !== undefined && answer.status < 500) throw errorFrom(answer, 'Asking for a job');
    await pause(turns, jitter(Math.min(RETRY_MS_FIRST * 2 ** failures, RETRY_MS_MAX)), stopped);
  }
  return undefined;
}
