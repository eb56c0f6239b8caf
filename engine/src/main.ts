// The composition root: here, and nowhere else, implementations are chosen.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { IronflowError, isIronflowError, ValidationError } from '@ironflow/core';
import { type JobHandlers, type LocalEngine, parseFunctionRegistration, type WorkerHello } from '@ironflow/core/wire';
import { Auditor } from './doctor/auditor.ts';
import { examineAll, type Finding } from './doctor/index.ts';
import { Engine, type EngineSettings } from './engine.ts';
import { type MovedTable, moveStore } from './move/index.ts';
import { systemClock } from './ports/clock.ts';
import { createIds } from './ports/ids.ts';
import { type Logger, silentLogger } from './ports/logger.ts';
import { MemoryStore } from './store/memory/index.ts';
import type { Store } from './store/port.ts';
import { SqliteStore } from './store/sqlite/index.ts';
import { HttpServer } from './transports/http-server.ts';
import { answerFetch } from './transports/local-fetch.ts';
import { Router } from './transports/router.ts';

export interface StoreOptions {
  /** Where the SQLite database lives. Default `./.ironflow`. */
  readonly dataDir?: string | undefined;
  /**
   * `sqlite` (default) keeps everything on disk, for one engine; a PostgreSQL URL serves any number of engines; `memory` keeps
   * nothing beyond the process.
   */
  readonly store?: 'sqlite' | 'memory' | `postgres://${string}` | `postgresql://${string}` | undefined;
}

export interface CreateEngineOptions extends StoreOptions, EngineSettings {
  /** Time between two looks of the doctor at what is under way, in milliseconds; 0 for none. Default 15 minutes. */
  readonly auditMs?: number | undefined;
  /** Where the engine writes what it has to say. Default: nowhere. */
  readonly logger?: Logger | undefined;
  /** Keys that HTTP calls must carry one of. With none, only this machine is answered. */
  readonly apiKeys?: readonly string[] | undefined;
  /** Answer any machine although there are no keys. */
  readonly insecure?: boolean | undefined;
}

/** How long an engine that starts waits for its database, in milliseconds; and its pause between tries. */
const DATABASE_MS = 30_000;
const DATABASE_PAUSE_MS = 500;
/** Default time between two audits, in milliseconds. */
const AUDIT_MS = 900_000;

export interface ListenOptions {
  /** Default 9123; 0 takes any free port. */
  readonly port?: number | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
}

/** An engine in this process. Give it to `createWorker` and `createClient` of `@ironflow/node` as `engine`. */
export interface EmbeddedEngine extends LocalEngine {
  /** The engine's use cases, without HTTP. */
  readonly engine: Engine;
  /**
   * Opens the engine's port.
   * @returns the address that it can be called at.
   * @throws {IronflowError} PORT_IN_USE, or UNAUTHORIZED for an address beyond this machine without keys.
   */
  listen(options?: ListenOptions): Promise<{ readonly url: string; readonly port: number }>;
  /** Stops taking work, stores what is under way, and frees the port and the data directory. */
  close(): Promise<void>;
}

/**
 * Opens an engine: SQLite in `./.ironflow`, unless told otherwise.
 * @throws {StoreLockedError} when another engine uses the directory; {StoreNewerError} when a newer version wrote it.
 * @example
 * const engine = await createEngine({ dataDir: './data' });
 * const worker = createWorker({ functions: [processOrder], engine });
 */
export async function createEngine(options: CreateEngineOptions = {}): Promise<EmbeddedEngine> {
  const logger = options.logger ?? silentLogger;
  const { store, engine } = await startEngine(options, logger);
  const { apiKeys = [], insecure = false, auditMs = AUDIT_MS } = options;
  const auditor = new Auditor({ store, clock: systemClock, logger, everyMs: auditMs });
  if (auditMs > 0) auditor.start();
  const router = new Router({ engine, apiKeys, anyHost: insecure });
  // Inside the process there is nobody to keep out.
  const local = new Router({ engine, caller: 'in-process' });
  const servers: HttpServer[] = [];

  return {
    engine,
    async listen({ port = 9123, host = '127.0.0.1' } = {}) {
      assertMayListen(host, apiKeys.length > 0 || insecure);
      const server = new HttpServer(router, systemClock);
      const address = await server.listen({ host, port });
      servers.push(server);
      const url = `http://${hostName(host)}:${address.port}`;
      engine.listensAt(url);
      return { url, port: address.port };
    },
    async close() {
      const closing = engine.close();
      await Promise.all([auditor.close(), ...servers.map((server) => server.close())]);
      await closing;
      await store.close();
    },
    registerFunction: (environment, registration) =>
      engine.registerFunction(environment, parseFunctionRegistration(registration)),
    connectWorker: (environment: string, hello: WorkerHello, handlers: JobHandlers) =>
      engine.workers.connect(environment, hello, handlers),
    fetch: (path, init) => answerFetch(local, path, init),
  };
}

/** Opens the store and starts an engine on it. A database that does not answer gets some time to come back. */
async function startEngine(
  options: CreateEngineOptions,
  logger: Logger,
): Promise<{ readonly store: Store; readonly engine: Engine }> {
  const giveUpAt = systemClock.now() + DATABASE_MS;
  for (;;) {
    const store = await openStore(options);
    const engine = new Engine({ store, clock: systemClock, ids: createIds(), logger, settings: options });
    try {
      await store.migrate();
      await engine.start();
      return { store, engine };
    } catch (error) {
      await engine.close().catch(() => {}); // it may have begun to work
      await store.close();
      const mayComeBack = !store.exclusive && isIronflowError(error) && error.code === 'UNAVAILABLE' && error.retryable;
      if (!mayComeBack || systemClock.now() >= giveUpAt) throw error;
      logger.warn('the database does not answer; trying again', { error });
      await new Promise<void>((resolve) => systemClock.setTimer(DATABASE_PAUSE_MS, resolve));
    }
  }
}

export interface Doctor {
  examine(): Promise<readonly Finding[]>;
  /** Repairs what can be. @returns what is left as it is. */
  repair(findings: readonly Finding[]): Promise<readonly Finding[]>;
  close(): Promise<void>;
}

/**
 * Opens a store for the doctor, beside the engines that work on it.
 * @param options - `repair`: to write as well, which SQLite allows only while no engine has the directory.
 */
export async function openDoctor({
  repair: mayWrite,
  ...options
}: StoreOptions & { repair: boolean }): Promise<Doctor> {
  const store = await openStore(options, !mayWrite);
  const clock = systemClock;
  try {
    await store.migrate();
  } catch (error) {
    await store.close();
    throw error;
  }
  return {
    examine: () => examineAll({ store, clock }),
    async repair(findings) {
      // An engine that only stores: what it changes is acted upon by the engines that work on the store, when they look.
      const engine = new Engine({ store, clock, ids: createIds(), logger: silentLogger });
      return engine.repair(findings);
    },
    close: () => store.close(),
  };
}

/**
 * Moves all that a SQLite data directory holds into a PostgreSQL database that is empty. No engine may work on either.
 * @param told - Called as it goes on, with a table's name and how many of its rows have gone.
 * @throws {IronflowError} MOVE_REFUSED when the target is not empty; MOVE_FAILED when the two differ afterwards;
 *   {StoreLockedError} when an engine uses the directory.
 */
export async function moveToPostgres(
  { dataDir, url }: { readonly dataDir: string; readonly url: NonNullable<StoreOptions['store']> },
  told?: (table: string, rows: number) => void,
): Promise<readonly MovedTable[]> {
  if (!existsSync(join(dataDir, 'ironflow.db')))
    throw new ValidationError(`There is no SQLite database in ${dataDir}. Name the data directory of the engine.`);
  const from = await openStore({ dataDir });
  try {
    await from.migrate();
    const to = await openStore({ store: url });
    try {
      await to.migrate();
      return await moveStore(from, to, told);
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

/**
 * Copies a SQLite database to a file, also while its engine runs.
 * @throws {ValidationError} when the file is there already; {StoreUnavailableError} when there is no database.
 */
export async function backUp({ dataDir, to }: { readonly dataDir: string; readonly to: string }): Promise<void> {
  if (existsSync(to)) throw new ValidationError(`${to} is there already. Name a file that is not.`);
  const store = await openStore({ dataDir }, true);
  try {
    await store.backup(to);
  } finally {
    await store.close();
  }
}

async function openStore(
  { store = 'sqlite', dataDir = './.ironflow' }: StoreOptions,
  readOnly = false,
): Promise<Store> {
  if (store === 'memory') return new MemoryStore();
  if (store !== 'sqlite') {
    // Loaded when it is asked for: who stays with SQLite does not pay for the driver.
    const { openPostgresStore } = await import('./store/postgres/index.ts');
    return openPostgresStore({ url: store });
  }
  return new SqliteStore({ directory: dataDir, readOnly });
}

/** How this machine calls what listens on an address. */
function hostName(host: string): string {
  if (['127.0.0.1', '0.0.0.0', '::', '::1'].includes(host)) return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

function assertMayListen(host: string, allowed: boolean): void {
  if (allowed || /^(localhost|127(?:\.\d+){3}|::1)$/.test(host)) return;
  throw new IronflowError(
    `Without API keys the engine listens to this machine only, and "${host}" is beyond it. Set IRONFLOW_API_KEY, ` +
      'or say --insecure if whoever can reach the port may do anything.',
    { code: 'UNAUTHORIZED' },
  );
}
