// One engine alone on PostgreSQL: a claim passes over rows that somebody has locked at this moment.

import { capabilities, parseFunctionRegistration } from '@ironflow/core/wire';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createFunction, registrationOf } from '../../../src/function/index.ts';
import { Engine } from '../engine.ts';
import { systemClock } from '../ports/clock.ts';
import { createIds } from '../ports/ids.ts';
import { silentLogger } from '../ports/logger.ts';
import type { Claim, Stored } from '../store/port.ts';
import { openPostgresStore } from '../store/postgres/index.ts';
import type { Row } from '../store/table.ts';
import { eventually } from '../test-support/eventually.ts';
import { env } from '../test-support/index.ts';
import { startPostgres, type TestPostgres } from '../test-support/postgres.ts';

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
}, 60_000);
afterAll(() => server.stop());

test('a queued run whose row was locked when it could be claimed is claimed once it is not', async () => {
  const schema = server.freshSchema();
  const store = await openPostgresStore({ url: `${server.url}?schema=${schema}` });
  const claimed: number[] = [];
  const claim = store.claim.bind(store);
  store.claim = async <R extends Row>(asked: Claim<R>): Promise<Stored<R>[] | null> => {
    const rows = await claim(asked);
    claimed.push(rows?.length ?? 0);
    return rows;
  };
  const engine = new Engine({ store, clock: systemClock, ids: createIds(), logger: silentLogger });
  await store.migrate();
  await engine.start();
  const other = new pg.Client({ connectionString: server.url });
  await other.connect();
  onTestFinished(async () => {
    await other.end();
    await engine.close();
    await store.close();
    await server.dropSchema(schema);
  });
  const fn = createFunction({ id: 'f', triggers: [{ event: 'go' }] }, async () => 'done');
  await engine.registerFunction(env, parseFunctionRegistration(registrationOf(fn, { mode: 'pull', codeHash: '' })));
  const event = { name: 'go', data: '{}' as never, version: 1, metadata: null, idempotencyKey: null, source: null };
  const { runIds } = await engine.emit({ env, ...event, runId: null });

  // As the commit of a command does that has read the run and leaves it as it is.
  await other.query('BEGIN');
  await other.query(`SELECT 1 FROM "${schema}".runs WHERE id = $1 FOR SHARE`, [runIds[0]]);
  const assigned: string[] = [];
  const hello = { hostname: 'test', functionIds: ['f'], functionVersions: { f: 1 }, jobsMax: 1, labels: {} };
  await engine.workers.connect(
    env,
    { workerId: 'worker-1', ...hello, version: { sdk: 'test', runtime: 'test' }, capabilities: [...capabilities] },
    { assigned: ({ runId }) => void assigned.push(runId), resolved: () => {}, revoked: () => {} },
  );
  await eventually(
    () => claimed,
    ({ length }) => length > 0,
  );
  expect(claimed).toContain(0);
  await other.query('COMMIT');
  await eventually(
    () => assigned,
    ({ length }) => length > 0,
  );
  expect(assigned).toEqual(runIds);
}, 30_000);
