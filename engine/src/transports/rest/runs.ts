// Runs over REST: to look at them, and to steer them.

import { encodeJson, ValidationError } from '@ironflow/core';
import {
  auditTrailRequest,
  bulkRequest,
  cancelRunRequest,
  listRunsRequest,
  parseInput,
  patchStepRequest,
  pauseRunRequest,
  rerunRunRequest,
  resumeRunRequest,
  retryRunRequest,
} from '@ironflow/core/wire';
import { statusFilterFromWire } from '../../kernel/status-word.ts';
import { type Answer, json } from '../exchange.ts';
import { body, param, type RestRequest, type Route } from './route.ts';

export const runRoutes: readonly Route[] = [
  { method: 'GET', path: '/api/v1/runs', handle: listRuns },
  { method: 'POST', path: '/api/v1/runs/bulk', handle: bulk },
  { method: 'POST', path: '/api/v1/runs/resume', handle: async (request) => resume(request, await body(request)) },
  { method: 'GET', path: '/api/v1/runs/:runId', handle: getRun },
  { method: 'GET', path: '/api/v1/runs/:runId/steps', handle: runSteps },
  { method: 'GET', path: '/api/v1/runs/:runId/result', handle: runResult },
  { method: 'GET', path: '/api/v1/runs/:runId/audit', handle: runAudit },
  { method: 'POST', path: '/api/v1/runs/:runId/cancel', handle: cancel },
  { method: 'POST', path: '/api/v1/runs/:runId/pause', handle: pause },
  {
    method: 'POST',
    path: '/api/v1/runs/:runId/resume',
    handle: async (request) => resume(request, await named(request)),
  },
  { method: 'POST', path: '/api/v1/runs/:runId/retry', handle: retry },
  { method: 'POST', path: '/api/v1/runs/:runId/rerun', handle: rerun },
  { method: 'POST', path: '/api/v1/steps/patch', handle: patchStep },
  { method: 'GET', path: '/api/v1/audit', handle: audit },
];

async function listRuns({ engine, env, exchange }: RestRequest): Promise<Answer> {
  return json(await engine.listRuns(env, readListRuns(fieldsOf(exchange.query))));
}

const ATTRIBUTE = 'attribute.';

/** The parameters of an address; those of attributes together, under their names as they are. @throws {ValidationError} */
function fieldsOf(query: URLSearchParams): Record<string, unknown> {
  const attributes = new Map<string, string>();
  const fields = [...query].filter(([name, value]) => {
    if (!name.startsWith(ATTRIBUTE)) return true;
    if (attributes.has(name))
      throw new ValidationError(`${name} is there twice, and a run has it once.`, {
        validationErrors: [{ path: name, message: 'is there twice' }],
      });
    attributes.set(name, value);
    return false;
  });
  if (attributes.size === 0) return Object.fromEntries(fields);
  const named = [...attributes].map(([name, value]) => [name.slice(ATTRIBUTE.length), value]);
  return { ...Object.fromEntries(fields), attributes: Object.fromEntries(named) };
}

/** Reads the filters of a listing. @throws {ValidationError} */
export function readListRuns(input: unknown) {
  return withStatus(parseInput(listRunsRequest, input, 'listing of runs'));
}

function withStatus<T extends { readonly status?: string | number | undefined }>({ status: word, ...options }: T) {
  const status = word === undefined ? 'any' : statusFilterFromWire(String(word));
  if (status === undefined) {
    throw new ValidationError(
      `status "${word}" is not a run status. Use pending, running, waiting, paused, completed, failed or cancelled.`,
      { validationErrors: [{ path: 'status', message: 'is not a run status' }] },
    );
  }
  return { ...options, status: status === 'any' ? undefined : status };
}

async function getRun(request: RestRequest): Promise<Answer> {
  const { engine, env, exchange } = request;
  const runId = param(request, 'runId');
  const run = await engine.getRun(env, runId);
  if (exchange.query.get('include') !== 'steps') return json(run);
  const [steps, attempts, waits] = await Promise.all([
    engine.getSteps(env, runId),
    engine.getRunAttempts(env, runId),
    engine.getWaits(env, runId),
  ]);
  return json({ ...run, steps, attempts, waits });
}

async function runSteps(request: RestRequest): Promise<Answer> {
  const { engine, env } = request;
  const runId = param(request, 'runId');
  const [steps, attempts] = await Promise.all([engine.getSteps(env, runId), engine.getRunAttempts(env, runId)]);
  return json({ steps, attempts });
}

/** Longest time a call for a result is held, in milliseconds; callers ask again. */
const RESULT_MS_MAX = 60_000;

async function runResult(request: RestRequest): Promise<Answer> {
  const { engine, env, exchange } = request;
  const asked = Number(exchange.query.get('timeout_ms') ?? RESULT_MS_MAX);
  const timeoutMs = Number.isFinite(asked) ? Math.min(Math.max(0, asked), RESULT_MS_MAX) : RESULT_MS_MAX;
  return json(await engine.result(env, param(request, 'runId'), timeoutMs, exchange.signal));
}

// ── operations ──

/** The body, with the run of the path in it under the names that requests have for it. */
async function named(request: RestRequest): Promise<unknown> {
  const input = await body(request);
  if (input === null || typeof input !== 'object' || Array.isArray(input)) return input;
  const runId = param(request, 'runId');
  return { ...input, id: runId, run_id: runId };
}

async function cancel(request: RestRequest): Promise<Answer> {
  const { id, reason, compensate } = parseInput(cancelRunRequest, await named(request), 'request');
  const { engine, env, actor } = request;
  const asked = { actor, reason: reason ?? '', compensate: compensate ?? false };
  return json(await engine.operations.cancel(env, id, asked));
}

async function pause(request: RestRequest): Promise<Answer> {
  const { runId, reason } = parseInput(pauseRunRequest, await named(request), 'request');
  const { engine, env, actor } = request;
  return json(await engine.operations.pause(env, runId, { actor, reason: reason ?? '' }));
}

async function resume({ engine, env, actor }: RestRequest, input: unknown): Promise<Answer> {
  const { runId, fromStep, reason } = parseInput(resumeRunRequest, input, 'request');
  return json(await engine.operations.resume(env, runId, { actor, fromStep, reason: reason ?? '' }));
}

async function retry(request: RestRequest): Promise<Answer> {
  const { id, fromStep, reason } = parseInput(retryRunRequest, await named(request), 'request');
  const { engine, env, actor } = request;
  return json(await engine.operations.retry(env, id, { actor, fromStep, reason: reason ?? '' }));
}

async function rerun(request: RestRequest): Promise<Answer> {
  const { runId, input, reason } = parseInput(rerunRunRequest, await named(request), 'request');
  const text = input === undefined ? undefined : encodeJson(input, 'input of the run');
  const { engine, env, actor } = request;
  return json(await engine.operations.rerun(env, runId, { actor, input: text, reason: reason ?? '' }));
}

async function patchStep(request: RestRequest): Promise<Answer> {
  const { stepId, output, reason } = parseInput(patchStepRequest, await body(request), 'request');
  const { engine, env, actor } = request;
  const text = encodeJson(output, `output of step "${stepId}"`);
  const { step } = await engine.operations.patchStep(env, stepId, text, { actor, reason: reason ?? '' });
  return json(step);
}

async function bulk(request: RestRequest): Promise<Answer> {
  const { filter, reason, ...input } = parseInput(bulkRequest, await body(request), 'request');
  const { engine, env, actor } = request;
  return json(
    await engine.operations.bulk(env, { ...input, filter: withStatus(filter) }, { actor, reason: reason ?? '' }),
  );
}

// ── audit ──

export function readAuditTrail(input: unknown) {
  const { fromTimestamp, toTimestamp, ...options } = parseInput(auditTrailRequest, input, 'audit trail');
  return { ...options, since: fromTimestamp, until: toTimestamp };
}

async function runAudit(request: RestRequest): Promise<Answer> {
  const { engine, env, exchange } = request;
  const runId = param(request, 'runId');
  return json(await engine.listAudit(env, { ...readAuditTrail(Object.fromEntries(exchange.query)), runId }));
}

async function audit({ engine, env, exchange }: RestRequest): Promise<Answer> {
  return json(await engine.listAudit(env, readAuditTrail(Object.fromEntries(exchange.query))));
}
