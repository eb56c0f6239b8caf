// Registration of a function, as REST workers, clients and in-process workers send it.

import { z } from 'zod';
import { durationMsMax } from '../duration.ts';
import { ValidationError } from '../errors.ts';
import { limits } from '../limits.ts';
import { parseRecordingRetention } from '../recording-retention.ts';
import { type RetryPolicy, retryPolicyFrom } from '../retry.ts';
import { assertAttributePaths } from '../run-attributes.ts';
import { assertSubject } from '../subject-pattern.ts';
import { eitherCase, optional, parseInput } from './parse.ts';

const name = z.string().min(1).max(limits.nameLengthMax);

const trigger = eitherCase({
  event: optional(z.string()),
  expression: optional(z.string()),
  cron: optional(z.string()),
});

const registerFunctionRequest = eitherCase({
  id: name,
  name: optional(z.string().max(limits.nameLengthMax)),
  description: optional(z.string()),
  triggers: z.array(trigger).max(limits.triggersPerFunctionMax).nullish(),
  retry: eitherCase({
    maxAttempts: optional(z.number()),
    initialDelayMs: optional(z.number()),
    backoffFactor: optional(z.number()),
    maxDelayMs: optional(z.number()),
  }).nullish(),
  timeoutMs: optional(z.number().int().positive().max(durationMsMax)),
  concurrency: eitherCase({ limit: z.number().int().positive(), key: optional(z.string()) }).nullish(),
  preferredMode: optional(z.union([z.string(), z.number()])),
  endpointUrl: optional(z.url({ protocol: /^https?$/ })),
  actorKey: optional(z.string()),
  recording: z.boolean().nullish(),
  recordingRetention: optional(z.string()),
  secrets: z.array(name).nullish(),
  attributes: z.unknown().optional(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
});

/** What a client or worker registers, in the contract's names. */
export interface FunctionRegistration {
  readonly id: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly triggers?: readonly WireTrigger[] | undefined;
  readonly retry?: { readonly [K in keyof RetryPolicy]?: RetryPolicy[K] | undefined } | undefined;
  readonly timeoutMs?: number | undefined;
  readonly concurrency?: { readonly limit: number; readonly key?: string | undefined } | undefined;
  readonly preferredMode?: string | undefined;
  readonly endpointUrl?: string | undefined;
  readonly actorKey?: string | undefined;
  readonly recording?: boolean | undefined;
  readonly recordingRetention?: string | undefined;
  readonly secrets?: readonly string[] | undefined;
  /** Names of what its runs are about, with where that is in the event. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

export interface WireTrigger {
  readonly event?: string | undefined;
  readonly expression?: string | undefined;
  readonly cron?: string | undefined;
}

/** A registration with every default filled in. */
export interface FunctionDefinition {
  readonly id: string;
  readonly name: string;
  readonly description?: string | undefined;
  readonly triggers: readonly WireTrigger[];
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  readonly mode: 'push' | 'pull';
  readonly endpointUrl?: string | undefined;
  readonly concurrency?: { readonly limit: number; readonly key?: string | undefined } | undefined;
  readonly actorKey?: string | undefined;
  readonly recording?: boolean | undefined;
  readonly recordingRetention?: string | undefined;
  readonly secrets?: readonly string[] | undefined;
  /** Names of what its runs are about, with where that is in the event. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** Function timeout when none is given: 10 minutes. */
export const functionTimeoutMsDefault = 600_000;

/**
 * Reads a registration and fills in its defaults.
 * @throws {ValidationError} that names the field at fault.
 */
export function parseFunctionRegistration(input: unknown): FunctionDefinition {
  const request = parseInput(registerFunctionRequest, input, 'function registration');
  assertSubject(request.id, 'The function id', { pattern: false });
  const triggers = request.triggers ?? [];
  for (const [i, { event, cron }] of triggers.entries()) {
    if (event === undefined && cron === undefined) {
      throw new ValidationError(
        `Trigger ${i} of function "${request.id}" has neither an event nor a cron schedule. Give it one.`,
        {
          validationErrors: [{ path: `triggers.${i}`, message: 'needs event or cron' }],
        },
      );
    }
    if (event !== undefined)
      assertSubject(event, `The event of trigger ${i} of function "${request.id}"`, { pattern: true });
  }
  parseRecordingRetention(request.recordingRetention, request.id); // refused here, read where something is recorded
  const attributes = request.attributes ?? {};
  assertAttributePaths(attributes, request.id);
  const mode = modeFrom(request.preferredMode, request.endpointUrl, request.id);
  return {
    id: request.id,
    name: request.name ?? request.id,
    ...(request.description !== undefined && { description: request.description }),
    triggers,
    retry: retryPolicyFrom(request.retry ?? undefined, `retry of function "${request.id}"`),
    timeoutMs: request.timeoutMs ?? functionTimeoutMsDefault,
    mode,
    ...(request.endpointUrl !== undefined && { endpointUrl: request.endpointUrl }),
    ...(request.concurrency != null && { concurrency: request.concurrency }),
    ...(request.actorKey !== undefined && { actorKey: request.actorKey }),
    ...(request.recording != null && { recording: request.recording }),
    ...(request.recordingRetention !== undefined && { recordingRetention: request.recordingRetention }),
    ...(request.secrets != null && request.secrets.length > 0 && { secrets: request.secrets }),
    ...(Object.keys(attributes).length > 0 && { attributes }),
    ...(request.metadata != null && { metadata: request.metadata }),
  };
}

function modeFrom(
  preferred: string | number | undefined,
  endpointUrl: string | undefined,
  id: string,
): 'push' | 'pull' {
  const word = String(preferred ?? '')
    .toLowerCase()
    .replace(/^execution_mode_/, '');
  if (word === 'pull' || word === '2') return 'pull';
  if (word === 'push' || word === '1') {
    if (endpointUrl !== undefined) return 'push';
    throw new ValidationError(
      `Function "${id}" asks for push mode but has no endpointUrl. Say where it is served, or use pull mode.`,
      {
        validationErrors: [{ path: 'endpointUrl', message: 'is needed in push mode' }],
      },
    );
  }
  if (word === '' || word === 'unspecified' || word === '0') return endpointUrl === undefined ? 'pull' : 'push';
  throw new ValidationError(`preferredMode of function "${id}" is "${preferred}". Use "push" or "pull".`, {
    validationErrors: [{ path: 'preferredMode', message: 'must be push or pull' }],
  });
}
