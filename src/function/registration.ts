import { eventNameOf, parseDuration } from '@ironflow/core';
import type { FunctionRegistration } from '@ironflow/core/wire';
import type { IronflowFunction } from './types.ts';

/** What an engine is told of a function. `codeHash` makes a change of the handler's code a new version. */
export function registrationOf(
  { id, config }: IronflowFunction,
  how: { readonly mode: 'push' | 'pull'; readonly endpointUrl?: string | undefined; readonly codeHash: string },
): FunctionRegistration {
  return {
    id,
    name: config.name ?? id,
    description: config.description,
    triggers: config.triggers.map(({ event, expression, cron }) => ({
      event: event === undefined ? undefined : eventNameOf(event),
      expression,
      cron,
    })),
    retry: config.retry,
    timeoutMs: config.timeout === undefined ? undefined : parseDuration(config.timeout),
    concurrency: config.concurrency,
    preferredMode: how.mode === 'pull' ? 'EXECUTION_MODE_PULL' : 'push',
    endpointUrl: how.endpointUrl,
    actorKey: config.actorKey,
    recording: config.recording,
    recordingRetention: config.recordingRetention,
    secrets: config.secrets !== undefined && config.secrets.length > 0 ? config.secrets : undefined,
    attributes: config.attributes,
    metadata: { __ironflow_code_hash: how.codeHash },
  };
}
