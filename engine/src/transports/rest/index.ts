// REST: the contract's paths for workers and clients, translated to the engine's use cases.

import {
  assertPayloadSize,
  assertSubject,
  encodeJson,
  IronflowError,
  isIronflowError,
  limits,
  RunNotFoundError,
  ValidationError,
} from '@ironflow/core';
import {
  acknowledgeRequest,
  answerToJson,
  assignmentToJson,
  contractReportFromJson,
  decideStepRequest,
  heartbeatRequest,
  jobOfferToJson,
  parseInput,
  postEventRequest,
  type Report,
  type ReportAnswer,
  reportBatchSchema,
  reportFromJson,
  resolutionToJson,
  workerHelloFromJson,
} from '@ironflow/core/wire';
import { z } from 'zod';
import type { StepDecision } from '../../commands/decide-step.ts';
import type { EmitInput } from '../../commands/emit.ts';
import { parseJobId } from '../../kernel/run.ts';
import { version } from '../../version.ts';
import { type Answer, json, jsonText, noContent, publicError, readJson, statusOf } from '../exchange.ts';
import { body, param, type RestRequest, type Route } from './route.ts';
import { runRoutes } from './runs.ts';
import { secretRoutes } from './secrets.ts';

export type { Route } from './route.ts';

export const restRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/health',
    open: true,
    handle: ({ engine }) => json({ status: 'ok', timestamp: new Date(engine.clock.now()).toISOString(), version }),
  },
  {
    method: 'GET',
    path: '/ready',
    open: true,
    handle: async ({ engine }) => {
      const reason = await engine.unreadiness();
      return reason === undefined ? json({ status: 'ready' }) : json({ status: 'not ready', reason }, 503);
    },
  },
  {
    method: 'GET',
    path: '/api/v1/capabilities',
    handle: () =>
      json({ transports: ['rest', 'connect'], features: ['functions', 'runs', 'workers', 'push'], version }),
  },
  { method: 'POST', path: '/api/v1/events', handle: postEvent },
  {
    method: 'GET',
    path: '/api/v1/functions',
    handle: async ({ engine, env }) => json({ functions: await engine.listFunctions(env) }),
  },
  {
    method: 'GET',
    path: '/api/v1/workers',
    handle: async ({ engine, env }) => json({ workers: await engine.listWorkers(env) }),
  },
  ...runRoutes,
  ...secretRoutes,
  { method: 'POST', path: '/api/v1/runs/:runId/decide', handle: decideStep },
  { method: 'POST', path: '/api/v1/workers/:workerId/register', handle: registerWorker },
  { method: 'POST', path: '/api/v1/workers/:workerId/heartbeat', handle: heartbeat },
  { method: 'POST', path: '/api/v1/workers/:workerId/deregister', handle: deregister },
  { method: 'GET', path: '/api/v1/workers/:workerId/jobs', handle: poll },
  { method: 'PUT', path: '/api/v1/workers/:workerId/jobs/:jobId/ack', handle: acknowledge },
  { method: 'PUT', path: '/api/v1/workers/:workerId/jobs/:jobId', handle: reportJob },
  { method: 'GET', path: '/api/v1/workers/:workerId/jobs/:jobId', handle: wholeJob },
  { method: 'POST', path: '/api/v1/workers/:workerId/reports', handle: reportBatch },
];

export function restError(error: IronflowError): Answer {
  const { message, code, details } = error;
  return json({ error: message, code, ...(details && { details }) }, statusOf(error));
}

/** What an emit of any transport becomes. @throws {ValidationError} for a name that cannot be an event's. */
export function emitInput(
  env: string,
  request: {
    readonly name: string;
    readonly data?: unknown;
    readonly version?: number | undefined;
    readonly idempotencyKey?: string | undefined;
    readonly metadata?: Readonly<Record<string, unknown>> | null | undefined;
  },
  runId: string | undefined,
): EmitInput {
  assertSubject(request.name, 'The event name', { pattern: false });
  const data = encodeJson(request.data === undefined ? {} : request.data, `data of event "${request.name}"`);
  return {
    env,
    name: request.name,
    data,
    version: request.version ?? 1,
    metadata: request.metadata == null ? null : encodeJson(request.metadata, `metadata of event "${request.name}"`),
    idempotencyKey: request.idempotencyKey ?? null,
    source: null,
    runId: runId ?? null,
  };
}

async function decideStep(request: RestRequest): Promise<Answer> {
  const { stepId, output, error, again, reason } = parseInput(decideStepRequest, await body(request), 'decision');
  const given = [output !== undefined, error != null, again === true].filter(Boolean).length;
  if (given !== 1) {
    throw new ValidationError(
      'A decision says one of three things: output (the step is taken to have ended with it), error (to have failed with this message), or again: true.',
    );
  }
  const { engine, env, actor } = request;
  const decision = ((): StepDecision => {
    if (again === true) return { kind: 'again' };
    if (error != null)
      return { kind: 'error', error: { name: 'Error', code: 'STEP_FAILED', retryable: false, message: error } };
    const text = encodeJson(output ?? null, `output of step "${stepId}"`);
    assertPayloadSize(text, `output of step "${stepId}"`);
    return { kind: 'output', output: text };
  })();
  return json(await engine.decideStep(env, param(request, 'runId'), stepId, decision, { actor, reason: reason ?? '' }));
}

async function postEvent(request: RestRequest): Promise<Answer> {
  const event = parseInput(postEventRequest, await body(request), 'event');
  const { eventId, runIds } = await request.engine.emit(
    emitInput(request.env, event, request.exchange.header('x-ironflow-run-id')),
  );
  return json({ id: eventId, event_id: eventId, run_ids: runIds });
}

async function registerWorker(request: RestRequest): Promise<Answer> {
  const workerId = param(request, 'workerId');
  if (workerId.length > limits.nameLengthMax)
    throw new ValidationError(`The worker id is longer than ${limits.nameLengthMax} characters.`);
  const hello = workerHelloFromJson(await body(request), workerId);
  const { leaseMs, capabilities } = await request.engine.workers.register(request.env, hello);
  return json({
    worker_id: workerId,
    lease_ms: leaseMs,
    heartbeat_interval_ms: Math.floor(leaseMs / 3),
    capabilities,
  });
}

async function heartbeat(request: RestRequest): Promise<Answer> {
  const { jobs, poll, beat } = parseInput(heartbeatRequest, await body(request), 'heartbeat');
  const held = jobs?.map(({ job_id }) => job_id);
  const lost = await request.engine.workers.heartbeat(param(request, 'workerId'), {
    held,
    poll: poll ?? undefined,
    beat: beat ?? undefined,
  });
  return lost === undefined ? restError(notRegistered(request)) : json({ lost });
}

async function deregister(request: RestRequest): Promise<Answer> {
  await request.engine.workers.deregister(param(request, 'workerId'));
  return json({});
}

async function poll(request: RestRequest): Promise<Answer> {
  const { engine, exchange } = request;
  const workerId = param(request, 'workerId');
  const text = exchange.query.get('available');
  const available = text === null ? 1 : Number(text);
  if (!Number.isInteger(available) || available < 0) {
    throw new ValidationError(`available is "${text}"; it must be the whole number of jobs that the worker can take.`, {
      validationErrors: [{ path: 'available', message: 'must be a whole number of at least 0' }],
    });
  }
  const counted = exchange.query.get('poll');
  const number = counted === null || !Number.isSafeInteger(Number(counted)) ? undefined : Number(counted);
  const answer = await engine.workers.poll(
    workerId,
    { available, draining: exchange.query.has('draining'), number },
    exchange.signal,
  );
  if (answer === undefined) return restError(notRegistered(request));
  const { jobs, resolutions, revoked, conversational } = answer;
  if (jobs.length + resolutions.length + revoked.length === 0) return noContent;
  const undelivered = () => void engine.workers.undelivered(workerId, answer).catch(() => {});
  const jobTexts = jobs.map((job) => jobOfferToJson(job, conversational));
  // Releases up to 0.22 ask without `available` and understand a single job only.
  if (text === null) return { status: 200, body: jobTexts[0] ?? '{}', undelivered };
  const news = conversational
    ? `,"resolutions":[${resolutions.map((news) => `{"job_id":${JSON.stringify(news.jobId)},"resolution":${resolutionToJson(news.resolution)}}`)}]` +
      `,"revoked":${JSON.stringify(revoked.map(({ jobId, code, message }) => ({ job_id: jobId, code, message })))}`
    : '';
  return { status: 200, body: `{"jobs":[${jobTexts}]${news}}`, undelivered };
}

function notRegistered(request: RestRequest): IronflowError {
  return new IronflowError(
    `Worker "${param(request, 'workerId')}" is not registered. Register it and its functions again.`,
    {
      code: 'WORKER_NOT_REGISTERED',
    },
  );
}

/** For a worker that was offered a continuation of what it does not keep. */
async function wholeJob(request: RestRequest): Promise<Answer> {
  const assignment = await request.engine.workers.wholeJob(param(request, 'workerId'), param(request, 'jobId'));
  if (assignment !== undefined) return jsonText(assignmentToJson(assignment, true));
  throw new IronflowError('The lease of this job is over. Drop the job.', { code: 'STALE_EXECUTION' });
}

async function acknowledge(request: RestRequest): Promise<Answer> {
  const { executionSeq, leaseToken } = parseInput(acknowledgeRequest, await body(request), 'acknowledgement');
  const refusal = await request.engine.workers.acknowledge(
    param(request, 'workerId'),
    param(request, 'jobId'),
    executionSeq ?? undefined,
    leaseToken ?? '',
  );
  return refusal === undefined ? json({}) : refused(refusal);
}

async function reportJob(request: RestRequest): Promise<Answer> {
  const { engine, exchange } = request;
  const workerId = param(request, 'workerId');
  const jobId = param(request, 'jobId');
  const job = parseJobId(jobId);
  if (job === undefined) throw new RunNotFoundError(jobId);
  let input: unknown;
  let report: Report;
  try {
    input = await readJson(exchange, limits.reportBytesMax);
    report = contractReportFromJson(input, jobId, job.fence);
  } catch (error) {
    const failed = hopelessReport(error, input, { jobId, fence: job.fence });
    if (failed !== undefined) await engine.workers.report(workerId, failed);
    throw error;
  }
  const answer = await engine.workers.report(workerId, report);
  return answer.status === 'refused' ? refused(answer) : json({});
}

const lastReport = z.object({
  status: z.enum(['completed', 'failed', 'yielded']),
  execution_seq: z.number().optional(),
  lease_token: z.string().optional(),
});

/**
 * The failure to store in place of a job's last report that cannot be stored. Its worker only logs the refusal and forgets
 * the job: without this the run would be executed again and again, to the same end. A checkpoint is not the last word, but
 * one that is too large or too deep to be read comes back within the last report.
 */
function hopelessReport(
  error: unknown,
  input: unknown,
  job: { readonly jobId: string; readonly fence: number },
): Report | undefined {
  if (!isIronflowError(error)) return undefined;
  const unread = error.code === 'PAYLOAD_TOO_LARGE' || error.code === 'LIMIT_EXCEEDED';
  const { data: last } = lastReport.safeParse(input);
  if (last === undefined && !unread) return undefined;
  const { name, code, message, details } = error;
  return {
    ...job,
    ...(last?.execution_seq !== undefined && { fence: last.execution_seq }),
    leaseToken: last?.lease_token ?? '',
    seenWakes: 0,
    records: [],
    waits: [],
    end: {
      status: 'failed',
      error: {
        name,
        code,
        message: `What the worker reported cannot be stored. ${message}`,
        retryable: false,
        ...(details && { details }),
      },
    },
  };
}

function refused({ code, message }: { readonly code: string; readonly message: string }): Answer {
  return json({ error: message, code }, 409);
}

/** Reports of many jobs, each answered by itself: one that is wrong or refused does not touch the others. */
async function reportBatch(request: RestRequest): Promise<Answer> {
  const { reports } = parseInput(
    reportBatchSchema,
    await readJson(request.exchange, limits.reportBytesMax),
    'batch of reports',
  );
  const workerId = param(request, 'workerId');
  const { engine } = request;
  const answers = await Promise.all(
    reports.map(async (input): Promise<string> => {
      try {
        const report: Report = reportFromJson(input);
        const answer: ReportAnswer = await engine.workers.report(workerId, report);
        return answerToJson(answer);
      } catch (error) {
        const { code, message, retryable, details } = publicError(error, engine.logger, { workerId });
        return JSON.stringify({ status: 'error', code, message, retryable, details });
      }
    }),
  );
  return jsonText(`{"answers":[${answers}]}`);
}
