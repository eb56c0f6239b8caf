import { parseFunctionRegistration } from '@ironflow/core/wire';
import { expect, test } from 'vitest';
import { silentLogger } from '../ports/logger.ts';
import { env, openTestEngine } from '../test-support/index.ts';

test('warns once for each version of what it asks for that has no effect', async () => {
  const warned: unknown[] = [];
  const warn = (_message: string, fields?: Readonly<Record<string, unknown>>) => void warned.push(fields);
  const { engine } = await openTestEngine({ logger: { ...silentLogger, warn } });
  const register = (registration: Readonly<Record<string, unknown>>) =>
    engine.registerFunction(env, parseFunctionRegistration({ id: 'f', ...registration }));
  const asking = {
    triggers: [{ event: 'go' }, { event: 'tick', cron: '* * * * *' }],
    concurrency: { limit: 1 },
    actorKey: 'data.id',
    secrets: ['KEY'],
    recordingRetention: '7d',
  };
  const ignored = ['triggers.1.cron', 'concurrency', 'actorKey', 'recordingRetention'];

  await register(asking);
  await register(asking);
  expect(warned).toEqual([{ env, functionId: 'f', version: 1, ignored }]);

  const modest = {
    triggers: [{ event: 'go', expression: 'event.data.n > 1' }],
    recording: true,
    recordingRetention: '7y',
  };
  await register(modest);
  await register(asking); // a roll-back to a version that was warned of
  expect(warned).toHaveLength(1);

  await register({ ...modest, concurrency: { limit: 2 } });
  expect(warned[1]).toEqual({ env, functionId: 'f', version: 3, ignored: ['concurrency'] });
});

test('refuses a retention that cannot be read', () => {
  const registration = { id: 'f', triggers: [{ event: 'go' }], recording: true, recordingRetention: '30 days' };
  expect(() => parseFunctionRegistration(registration)).toThrow(
    expect.objectContaining({ code: 'VALIDATION_ERROR', message: expect.stringContaining('"30 days"') }),
  );
});
