// What an operator does to a database: moves it, backs it up, restores it. Work that was under way goes on where it was.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createClient, createFunction, createWorker, type IronflowFunction } from '../../src/index.ts';
import {
  backUp,
  createEngine,
  type EmbeddedEngine,
  moveToPostgres,
  openDoctor,
  type StoreOptions,
} from '../src/main.ts';
import { openPostgresStore } from '../src/store/postgres/index.ts';
import { migrations as postgresMigrations } from '../src/store/postgres/migrations.ts';
import { SqliteStore } from '../src/store/sqlite/index.ts';
import { migrations as sqliteMigrations } from '../src/store/sqlite/migrations.ts';
import { temporaryDirectory } from '../src/test-support/index.ts';
import { postgresProgram, startPostgres, type TestPostgres } from '../src/test-support/postgres.ts';

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
}, 60_000);
afterAll(() => server.stop());

const bodies = new Map<string, number>();
const functions: readonly IronflowFunction[] = [
  createFunction({ id: 'order', triggers: [{ event: 'order' }] }, async ({ event, step }) => {
    const { n } = event.data as { n: number };
    await step.run('first', ({ idempotencyKey }) => {
      bodies.set(idempotencyKey, (bodies.get(idempotencyKey) ?? 0) + 1);
    });
    await step.sleep('nap', 1 + n * 10);
    const approval = await step.waitForEvent('approval', { event: 'approved', match: 'data.n', timeout: '1h' });
    return step.invoke('child', { n: approval.data.n }, { timeout: '1h' });
  }),
  createFunction({ id: 'child', triggers: [] }, async ({ event, step }) => {
    const { n } = event.data as { n: number };
    await step.sleep('nap', 20);
    return step.run('double', () => n * 2);
  }),
];

interface Open {
  readonly engine: EmbeddedEngine;
  readonly client: ReturnType<typeof createClient>;
  close(): Promise<void>;
}

async function open(options: StoreOptions): Promise<Open> {
  const engine = await createEngine(options);
  const worker = createWorker({ functions, engine, logger: false });
  const working = worker.start();
  const client = createClient({ engine });
  await worker.ready;
  return {
    engine,
    client,
    async close() {
      await worker.stop();
      await working;
      await engine.close();
    },
  };
}

const ORDERS = 40;

/** Emits orders, of which the first half is approved; some end, some wait for their approval. */
async function fill({ client }: Open): Promise<readonly string[]> {
  const runIds: string[] = [];
  for (let n = 0; n < ORDERS; n++) runIds.push((await client.emit('order', { n })).runIds[0] ?? '');
  for (let n = 0; n < ORDERS / 2; n++) await client.emit('approved', { n });
  await Promise.all(runIds.slice(0, ORDERS / 4).map((runId) => client.waitForRun(runId)));
  return runIds;
}

/** Approves the rest, and expects every order to end with its result. */
async function finish({ client }: Open, runIds: readonly string[]): Promise<void> {
  for (let n = ORDERS / 2; n < ORDERS; n++) await client.emit('approved', { n });
  const runs = await Promise.all(runIds.map((runId) => client.waitForRun(runId, { timeout: 20_000 })));
  expect(runs.map(({ status, output, error }) => [status, output ?? error])).toEqual(
    runIds.map((_, n) => ['completed', n * 2]),
  );
}

async function findings(options: StoreOptions): Promise<readonly unknown[]> {
  const doctor = await openDoctor({ ...options, repair: true });
  const found = await doctor.examine();
  await doctor.close();
  return found;
}

function directory(): string {
  const made = temporaryDirectory();
  onTestFinished(() => made.remove());
  return made.path;
}

const postgres = (database = 'postgres', schema = server.freshSchema()) =>
  `${server.url.replace(/\/postgres$/, `/${database}`)}?schema=${schema}` as `postgres://${string}`;

describe('ironflow move', () => {
  test('takes everything from SQLite to PostgreSQL, where it goes on', async () => {
    bodies.clear();
    const dataDir = directory();
    const before = await open({ dataDir });
    const runIds = await fill(before);
    await before.close();
    const url = postgres();
    const moved = await moveToPostgres({ dataDir, url });
    expect(moved.find(({ table }) => table === 'runs')?.rows).toBeGreaterThanOrEqual(ORDERS);
    expect(moved.find(({ table }) => table === 'events')?.rows).toBe(ORDERS * 1.5);
    const after = await open({ store: url });
    await finish(after, runIds);
    await after.close();
    expect([...bodies.values()]).toEqual(Array.from({ length: ORDERS }, () => 1));
    expect(await findings({ store: url })).toEqual([]);
  });

  test('refuses a target that holds anything, and a source that an engine has', async () => {
    const dataDir = directory();
    const source = await open({ dataDir });
    const url = postgres();
    await expect(moveToPostgres({ dataDir, url })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await source.client.emit('order', { n: 1 });
    await source.close();
    await (await open({ store: url })).close();
    await expect(moveToPostgres({ dataDir, url })).rejects.toMatchObject({ code: 'MOVE_REFUSED' });
    await expect(moveToPostgres({ dataDir: directory(), url })).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
  });
});

describe('backup and restore', () => {
  test('of SQLite, taken while the engine works', async () => {
    const dataDir = directory();
    const before = await open({ dataDir });
    const runIds = await fill(before);
    const copy = join(directory(), 'copy.db');
    await backUp({ dataDir, to: copy });
    await expect(backUp({ dataDir, to: copy })).rejects.toMatchObject({ code: 'VALIDATION_ERROR' });
    // What comes after the backup is lost with the disk.
    for (let n = ORDERS / 2; n < ORDERS; n++) await before.client.emit('approved', { n });
    await before.close();

    const restored = directory();
    mkdirSync(restored, { recursive: true });
    copyFileSync(copy, join(restored, 'ironflow.db'));
    expect(await findings({ dataDir: restored })).toEqual([]);
    const after = await open({ dataDir: restored });
    await finish(after, runIds);
    await after.close();
    expect(await findings({ dataDir: restored })).toEqual([]);
  });

  const [dumper, restorer] = [postgresProgram('pg_dump'), postgresProgram('psql')];
  // The package that stands in for an installation has neither program.
  test.skipIf(!dumper || !restorer)('of PostgreSQL, by pg_dump while the engine works', async () => {
    const schema = server.freshSchema();
    const before = await open({ store: postgres('postgres', schema) });
    const runIds = await fill(before);
    const dump = join(directory(), 'dump.sql');
    execFileSync(dumper ?? '', ['--schema', schema, '--file', dump, server.url]);
    expect(existsSync(dump)).toBe(true);
    await before.close();

    await server.query('CREATE DATABASE restored');
    const url = server.url.replace(/\/postgres$/, '/restored');
    execFileSync(restorer ?? '', ['--quiet', '--set', 'ON_ERROR_STOP=1', '--file', dump, url], {
      stdio: 'pipe',
    });
    const store = postgres('restored', schema);
    const after = await open({ store });
    await finish(after, runIds);
    await after.close();
    expect(await findings({ store })).toEqual([]);
  });
});

// A database as an earlier version left it: the tables and columns that its migrations made, with the rows of today. What came later is
// not there.
describe('an upgrade', () => {
  async function goesOn(options: StoreOptions, runIds: readonly string[]): Promise<void> {
    const after = await open(options);
    await finish(after, runIds);
    await after.close();
    expect([...bodies.values()]).toEqual(Array.from({ length: ORDERS }, () => 1));
    expect(await findings(options)).toEqual([]);
  }

  const names = (rows: readonly Record<string, unknown>[]) => rows.map(({ name }) => String(name));
  const common = (a: readonly string[], b: readonly string[]) => a.filter((name) => b.includes(name));

  test.each(sqliteMigrations.slice(0, -1))('of SQLite from version $number ($name)', async ({ number }) => {
    bodies.clear();
    const today = directory();
    const before = await open({ dataDir: today });
    const runIds = await fill(before);
    await before.close();

    const dataDir = directory();
    const old = new SqliteStore({ directory: dataDir, migrations: sqliteMigrations.slice(0, number) });
    await old.migrate();
    await old.close();
    const db = new DatabaseSync(join(dataDir, 'ironflow.db'));
    db.exec(`ATTACH '${join(today, 'ironflow.db')}' AS today`);
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all();
    for (const table of names(tables)) {
      const columns = (schema: string) => names(db.prepare(`PRAGMA ${schema}.table_info("${table}")`).all());
      const list = common(columns('main'), columns('today'))
        .map((name) => `"${name}"`)
        .join(', ');
      db.exec(`INSERT INTO main."${table}" (${list}) SELECT ${list} FROM today."${table}"`);
    }
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: number });
    db.close();
    await goesOn({ dataDir }, runIds);
  });

  test.each(postgresMigrations.slice(0, -1))('of PostgreSQL from version $number ($name)', async ({ number }) => {
    bodies.clear();
    const [today, earlier] = [server.freshSchema(), server.freshSchema()];
    const before = await open({ store: postgres('postgres', today) });
    const runIds = await fill(before);
    await before.close();

    const migrations = postgresMigrations.slice(0, number);
    const old = openPostgresStore({ url: server.url, schema: earlier, migrations });
    await old.migrate();
    await old.close();
    const tables = await server.query(
      'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = $1',
      [earlier],
    );
    for (const table of names(tables).filter((name) => name !== 'migrations')) {
      const columns = async (schema: string) =>
        names(
          await server.query(
            'SELECT column_name AS name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2',
            [schema, table],
          ),
        );
      const list = common(await columns(earlier), await columns(today))
        .map((name) => `"${name}"`)
        .join(', ');
      await server.query(
        `INSERT INTO "${earlier}"."${table}" (${list}) SELECT ${list} FROM "${today}"."${table}" ON CONFLICT DO NOTHING`,
      );
    }
    expect(await server.query(`SELECT max(number)::int AS number FROM "${earlier}".migrations`)).toEqual([{ number }]);
    await goesOn({ store: postgres('postgres', earlier) }, runIds);
  });
});
