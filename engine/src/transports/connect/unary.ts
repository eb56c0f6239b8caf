// Connect's unary calls in JSON: POST /ironflow.v1.<Service>/<Method>. Requests are read by hand-written schemas, because the
// contract's clients mix camelCase and snake_case and short and long enum names.

import {
  assertJsonDepth,
  assertPayloadSize,
  assertSubject,
  encodeJson,
  FunctionNotFoundError,
  type IronflowError,
  limits,
  StepNotFoundError,
  ValidationError,
} from '@ironflow/core';
import {
  cancelRunRequest,
  idRequest,
  injectStepOutputRequest,
  parseFunctionRegistration,
  parseInput,
  patchStepRequest,
  pauseRunRequest,
  publishRequest,
  resumeRunRequest,
  retryRunRequest,
  runStepsRequest,
  topicRequest,
  triggerBatchRequest,
  triggerRequest,
  triggerSyncRequest,
  triggerSyncTimeoutMsDefault,
  triggerSyncTimeoutMsMax,
} from '@ironflow/core/wire';
import type { Engine } from '../../engine.ts';
import { functionView } from '../../queries/registry.ts';
import type { RunView } from '../../queries/runs.ts';
import type { StepView } from '../../queries/steps.ts';
import { version } from '../../version.ts';
import { type Answer, type Exchange, json, readJson, statusOf } from '../exchange.ts';
import { emitInput } from '../rest/index.ts';
import { readAuditTrail, readListRuns } from '../rest/runs.ts';

export interface ConnectRequest {
  readonly engine: Engine;
  readonly env: string;
  readonly input: unknown;
  readonly exchange: Exchange;
  /** Who calls. */
  readonly actor: string;
}

type Method = (request: ConnectRequest) => Promise<unknown> | unknown;

const methods: Readonly<Record<string, Method>> = {
  'ironflow.v1.IronflowService/RegisterFunction': registerFunction,
  'ironflow.v1.IronflowService/GetFunction': getFunction,
  'ironflow.v1.IronflowService/ListFunctions': async ({ engine, env }) => {
    const functions = await engine.listFunctions(env);
    return { functions, totalCount: functions.length };
  },
  'ironflow.v1.IronflowService/Trigger': trigger,
  'ironflow.v1.IronflowService/Emit': trigger,
  'ironflow.v1.PubSubService/Emit': trigger,
  'ironflow.v1.IronflowService/TriggerSync': triggerSync,
  'ironflow.v1.IronflowService/TriggerBatch': triggerBatch,
  'ironflow.v1.IronflowService/GetRun': ({ engine, env, input }) =>
    engine.getRun(env, parseInput(idRequest, input, 'request').id),
  'ironflow.v1.IronflowService/ListRuns': ({ engine, env, input }) => engine.listRuns(env, readListRuns(input)),
  'ironflow.v1.IronflowService/GetRunSteps': async ({ engine, env, input }) => {
    const steps = await engine.getSteps(env, parseInput(runStepsRequest, input, 'request').runId);
    return { steps: steps.map(wireStep) };
  },
  'ironflow.v1.IronflowService/CancelRun': ({ engine, env, input, actor }) => {
    const { id, reason, compensate } = parseInput(cancelRunRequest, input, 'request');
    return engine.operations.cancel(env, id, { actor, reason: reason ?? '', compensate: compensate ?? false });
  },
  'ironflow.v1.IronflowService/PauseRun': async ({ engine, env, input, actor }) => {
    const { runId, reason } = parseInput(pauseRunRequest, input, 'request');
    const { status } = await engine.operations.pause(env, runId, { actor, reason: reason ?? '' });
    return { status: status === 'paused' ? 'paused' : 'pause_requested' };
  },
  'ironflow.v1.IronflowService/ResumeRun': ({ engine, env, input, actor }) => {
    const { runId, fromStep, reason } = parseInput(resumeRunRequest, input, 'request');
    return engine.operations.resume(env, runId, { actor, fromStep, reason: reason ?? '' });
  },
  'ironflow.v1.IronflowService/RetryRun': ({ engine, env, input, actor }) => {
    const { id, fromStep, reason } = parseInput(retryRunRequest, input, 'request');
    return engine.operations.retry(env, id, { actor, fromStep, reason: reason ?? '' });
  },
  'ironflow.v1.IronflowService/PatchStep': async ({ engine, env, input, actor }) => {
    const { stepId, output, reason } = parseInput(patchStepRequest, input, 'request');
    const text = encodeJson(output, `output of step "${stepId}"`);
    const { step } = await engine.operations.patchStep(env, stepId, text, { actor, reason: reason ?? '' });
    return wireStep(step);
  },
  'ironflow.v1.IronflowService/InjectStepOutput': injectStepOutput,
  'ironflow.v1.IronflowService/GetPausedState': pausedState,
  'ironflow.v1.AuditService/GetAuditTrail': async ({ engine, env, input }) => {
    const { entries, ...page } = await engine.listAudit(env, readAuditTrail(input));
    return { entries, events: entries, ...page };
  },
  'ironflow.v1.PubSubService/Publish': publish,
  'ironflow.v1.PubSubService/ListTopics': async ({ engine, env }) => ({ topics: await engine.listTopics(env) }),
  'ironflow.v1.PubSubService/GetTopicStats': ({ engine, env, input }) =>
    engine.getTopicStats(env, parseInput(topicRequest, input, 'request').topic),
  'ironflow.v1.IronflowService/Health': ({ engine }) => ({
    status: 'ok',
    timestamp: new Date(engine.clock.now()).toISOString(),
  }),
  'ironflow.v1.IronflowService/Info': () => ({ version }),
};

/** Answers a unary call; its errors are the caller's to translate with `connectError`. */
export async function answerConnect(
  name: string,
  { engine, env, exchange, actor }: Omit<ConnectRequest, 'input'>,
): Promise<Answer> {
  const method = methods[name];
  if (method === undefined) {
    return json({ code: 'unimplemented', message: `This engine has no method ${name}.` }, 501);
  }
  const input = await readJson(exchange, limits.bodyBytesMax);
  return json((await method({ engine, env, input, exchange, actor })) ?? {});
}

const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  402: 'failed_precondition',
  403: 'permission_denied',
  404: 'not_found',
  405: 'unimplemented',
  409: 'aborted',
  413: 'resource_exhausted',
  415: 'invalid_argument',
  429: 'resource_exhausted',
  501: 'unimplemented',
  503: 'unavailable',
  504: 'deadline_exceeded',
};

/** The protocol's own `details` are typed protobuf messages; ours go beside them, for clients that know to look. */
export function connectError(error: IronflowError): Answer {
  const { message, code, details } = error;
  // REST says 409; here that would be a conflict, after which the same may be tried again.
  const status = code === 'RUN_STATE' ? 400 : statusOf(error);
  const connectCode = code === 'RUN_STATE' ? 'failed_precondition' : (CODE_OF_STATUS[status] ?? 'internal');
  const said = { code: connectCode, message, error_code: code };
  return json({ ...said, ...(details && { error_details: details }) }, status);
}

async function registerFunction({ engine, env, input }: ConnectRequest): Promise<unknown> {
  const registered = await engine.registerFunction(env, parseFunctionRegistration(input));
  return { function: functionView({ ...registered, status: 'active' }), created: registered.created };
}

async function getFunction({ engine, env, input }: ConnectRequest): Promise<unknown> {
  const { id } = parseInput(idRequest, input, 'request');
  const found = (await engine.listFunctions(env)).find((fn) => fn.id === id);
  if (found === undefined) throw new FunctionNotFoundError(id);
  return found;
}

function trigger({ engine, env, input, exchange }: ConnectRequest): Promise<unknown> {
  const { event, ...rest } = parseInput(triggerRequest, input, 'request');
  return engine.emit(emitInput(env, { name: event, ...rest }, exchange.header('x-ironflow-run-id')));
}

function publish({ engine, env, input, exchange }: ConnectRequest): Promise<unknown> {
  const { topic, data, idempotencyKey } = parseInput(publishRequest, input, 'request');
  assertSubject(topic, 'The topic', { pattern: false });
  const text = encodeJson(data ?? {}, `data for topic "${topic}"`);
  assertPayloadSize(text, `data for topic "${topic}"`);
  return engine.publish({
    env,
    topic,
    data: text,
    idempotencyKey: idempotencyKey ?? null,
    runId: exchange.header('x-ironflow-run-id') ?? null,
  });
}

function triggerBatch({ engine, env, input, exchange }: ConnectRequest): Promise<unknown> {
  const { events } = parseInput(triggerBatchRequest, input, 'request');
  const runId = exchange.header('x-ironflow-run-id');
  // Every event is checked before the first is emitted: a batch with a wrong one is refused whole.
  const inputs = events.map(({ event, ...rest }) => emitInput(env, { name: event, ...rest }, runId));
  return Promise.all(inputs.map((one) => engine.emit(one))).then((results) => ({ results }));
}

async function triggerSync({ engine, env, input, exchange }: ConnectRequest): Promise<unknown> {
  const { event, timeoutMs, ...rest } = parseInput(triggerSyncRequest, input, 'request');
  const startedAt = engine.clock.now();
  const { eventId, runIds } = await engine.emit(
    emitInput(env, { name: event, ...rest }, exchange.header('x-ironflow-run-id')),
  );
  const wait = Math.min(timeoutMs ?? triggerSyncTimeoutMsDefault, triggerSyncTimeoutMsMax);
  const results = await Promise.all(
    runIds.map(async (runId) => {
      const run = await engine.result(env, runId, wait, exchange.signal);
      return { runId, durationMs: engine.clock.now() - startedAt, ...resultOf(run) };
    }),
  );
  return { eventId, results };
}

/** As PatchStep, for a run that is named, and paused. */
async function injectStepOutput({ engine, env, input, actor }: ConnectRequest): Promise<unknown> {
  const { runId, stepId, newOutput, reason } = parseInput(injectStepOutputRequest, input, 'request');
  const steps = await engine.getSteps(env, runId);
  const step = steps.find(({ id }) => id === stepId) ?? steps.find(({ name }) => name === stepId);
  if (step === undefined) throw new StepNotFoundError(stepId, { runId });
  const text = encodeJson(readJsonText(newOutput), `output of step "${step.id}"`);
  const patched = await engine.operations.patchStep(env, step.id, text, { actor, reason: reason ?? '' });
  return { stepId: step.id, previousOutput: JSON.stringify(patched.previousOutput) };
}

async function pausedState({ engine, env, input }: ConnectRequest): Promise<unknown> {
  const { runId } = parseInput(runStepsRequest, input, 'request');
  const [run, steps, waits] = await Promise.all([
    engine.getRun(env, runId),
    engine.getSteps(env, runId),
    engine.getWaits(env, runId),
  ]);
  return {
    steps: steps.map(({ id, name, type, status, output, error, patchedAt, endedAt }) => ({
      id,
      name,
      stepType: type,
      status,
      injected: patchedAt !== undefined,
      ...(output !== undefined && { output: JSON.stringify(output) }),
      ...(error !== undefined && { error: JSON.stringify(error) }),
      ...(endedAt !== undefined && { completedAt: endedAt }),
    })),
    nextStepHint: waits[0]?.name ?? '',
    pauseReason: run.pauseReason ?? '',
  };
}

function readJsonText(text: string): unknown {
  assertJsonDepth(text, 'new_output');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ValidationError('new_output is not JSON text.', {
      validationErrors: [{ path: 'new_output', message: 'must be JSON text' }],
      cause,
    });
  }
}

function resultOf({ functionId, status, output, error }: RunView) {
  return { functionId, status, ...(output !== undefined && { output }), ...(error && { error }) };
}

const STEP_TYPE: Readonly<Record<string, string>> = {
  run: 'STEP_TYPE_INVOKE',
  publish: 'STEP_TYPE_INVOKE',
  sleep: 'STEP_TYPE_SLEEP',
  wait_for_event: 'STEP_TYPE_WAIT_FOR_EVENT',
  wait_for_any: 'STEP_TYPE_WAIT_FOR_EVENT',
  invoke: 'STEP_TYPE_INVOKE_FUNCTION',
  invoke_async: 'STEP_TYPE_INVOKE_FUNCTION',
  compensate: 'STEP_TYPE_COMPENSATE',
};

function wireStep(step: StepView) {
  const { id, type, status, attempts: _attempts, ...rest } = step;
  return { ...rest, id, stepId: id, stepType: STEP_TYPE[type], status: `STEP_STATUS_${status.toUpperCase()}` };
}
