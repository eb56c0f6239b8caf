// The PostgreSQL store: any number of engines on one database. Reads go over a few connections, each pipelined; commits over
// one, batch after batch; claims over one; LISTEN and NOTIFY over one. docs/adr/0010 has the reasons.
//
//   P1. commit() costs two round trips however many write sets it has; claim() one, or two with guards; a read one.
//   P2. All engines lock in one order: tables by name, rows by key, then the heads of logs.
//   P3. When commit() throws, the batch is stored as a whole or not at all, and nobody knows which.

import { IronflowError } from '@ironflow/core';
import type { Clock } from '../../ports/clock.ts';
import { systemClock } from '../../ports/clock.ts';
import { type Random, systemRandom } from '../../ports/random.ts';
import type { Claim, CommitResult, Scan, Store, Stored, WriteSet } from '../port.ts';
import { type Key, keyText, type Row, type Table, type Value } from '../table.ts';
import { BackupUnsupportedError } from './backup.ts';
import { Committer, keyArrays } from './commit.ts';
import { type Answer, type Connection, type ConnectionOptions, type Counters, Lane, placeOf } from './connection.ts';
import { isLost, unavailable } from './failures.ts';
import { migrate } from './migrate.ts';
import { migrations as engineMigrations, type Migration } from './migrations.ts';
import { storedColumns } from './sql.ts';
import { Statements } from './statements.ts';
import { encodeText, type Parameter, parameterFrom } from './values.ts';
import { Watch } from './watch.ts';

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`. */
  readonly url: string;
  /** Where the tables are. Default: `schema` of the URL's query, or "ironflow". */
  readonly schema?: string | undefined;
  /** Connections for reads, on top of three for commits, claims and notifications. Default 2. */
  readonly readConnections?: number | undefined;
  /** How long a call waits for a database that cannot be reached, before it fails. Default 5,000 ms. */
  readonly reconnectMs?: number | undefined;
  /** The schema, as the migrations that make it. Default: the engine's own tables. */
  readonly migrations?: readonly Migration[] | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

export interface PostgresStoreStats extends Readonly<Counters> {}

/**
 * Opens a store on a PostgreSQL database. It connects when it is first used.
 * @example
 * const store = openPostgresStore({ url: 'postgres://ironflow:secret@db.example/ironflow?sslmode=verify-full' });
 * await store.migrate();
 */
export function openPostgresStore(options: PostgresStoreOptions): PostgresStore {
  return new PostgresStore(options);
}

export class PostgresStore implements Store {
  readonly exclusive = false;
  readonly schema: string;
  /** What it has cost so far. */
  readonly stats: PostgresStoreStats;
  readonly #place: string;
  readonly #migrations: readonly Migration[];
  readonly #statements: Statements;
  readonly #reads: readonly Lane[];
  readonly #commits: Lane;
  readonly #claims: Lane;
  readonly #committer: Committer;
  readonly #claimer: Committer;
  readonly #watch: Watch;

  constructor({
    url: given,
    schema,
    readConnections = 2,
    reconnectMs = 5_000,
    migrations = engineMigrations,
    clock = systemClock,
    random = systemRandom,
  }: PostgresStoreOptions) {
    const { url, schema: named } = connectionUrl(given);
    this.schema = schema ?? named ?? 'ironflow';
    this.#place = placeOf(url);
    this.#migrations = migrations;
    this.#statements = new Statements(this.schema);
    const counters: Counters = { flushes: 0, retries: 0 };
    this.stats = counters;
    const connections: ConnectionOptions = { url, clock, reconnectMs, counters };
    this.#reads = Array.from({ length: Math.max(1, readConnections) }, () => new Lane(connections));
    this.#commits = new Lane(connections);
    this.#claims = new Lane(connections);
    const shared = { statements: this.#statements, clock, random, counters };
    this.#committer = new Committer({ ...shared, lane: this.#commits });
    this.#claimer = new Committer({ ...shared, lane: this.#claims });
    this.#watch = new Watch(connections, this.schema);
  }

  async migrate(): Promise<void> {
    try {
      await this.#commits.alone((connection) => migrate(connection, this.schema, this.#migrations, this.#place));
    } catch (error) {
      throw error instanceof IronflowError ? error : unavailable(error);
    }
  }

  async get<R extends Row>(table: Table<R>, keys: readonly Key[]): Promise<(Stored<R> | null)[]> {
    const found: (Stored<R> | null)[] = keys.map(() => null);
    if (keys.length === 0) return found;
    const { rows } = await this.#read(this.#statements.of('selectByKeys', table), keyArrays(table, keys));
    for (const [number, ...values] of rows) found[Number(number) - 1] = storedFrom<R>(table, values);
    return found;
  }

  async scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]> {
    const { rows } = await this.#read(this.#statements.scan(scan), rangeValues(scan));
    return rows.map((values) => storedFrom<R>(scan.table, values));
  }

  async count(scan: Scan): Promise<number> {
    const { rows } = await this.#read(this.#statements.count(scan), rangeValues(scan));
    return Number(rows[0]?.[0] ?? 0);
  }

  async head(log: Table, partition: Key): Promise<number> {
    const { rows } = await this.#read(this.#statements.heads('head'), [log.name, encodeText(keyText(partition))]);
    return Number(rows[0]?.[0] ?? 0);
  }

  async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    return this.#committer.commit(writeSets);
  }

  async claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    const { set, fill = {}, guards = [], revision } = claim;
    const values = [...Object.values(set), ...Object.values(fill), revision].map(parameterFrom);
    const statement = this.#statements.claim(claim);
    const take = (connection: Connection) => connection.query(statement, [...values, ...rangeValues(claim)]);
    const answer =
      guards.length === 0
        ? await this.#claims.alone(take).catch((error: unknown) => {
            throw unavailable(error);
          })
        : await this.#claimer.guarded(guards, take);
    return answer === null ? null : answer.rows.map((row) => storedFrom<R>(claim.table, row));
  }

  watch(channel: string, listener: (payload: string) => void): () => void {
    return this.#watch.watch(channel, listener);
  }

  notify(channel: string, payload: string): void {
    this.#watch.notify(channel, payload);
  }

  /** @throws {BackupUnsupportedError} always: PostgreSQL has tools for it that know the whole server. */
  async backup(): Promise<void> {
    throw new BackupUnsupportedError(this.#place, this.schema);
  }

  async close(): Promise<void> {
    await this.#watch.close();
    await Promise.all([this.#commits, this.#claims, ...this.#reads].map((lane) => lane.close()));
  }

  /** On the connection with the least to do. A read that meets a lost connection is made again, once. */
  async #read(statement: { readonly name: string; readonly text: string }, values: Parameter[]): Promise<Answer> {
    const lane = this.#reads.reduce((least, candidate) => (candidate.load < least.load ? candidate : least));
    lane.load++;
    try {
      try {
        return await (await lane.connection()).query(statement, values);
      } catch (error) {
        if (!isLost(error)) throw error;
        return await (await lane.connection()).query(statement, values);
      }
    } catch (error) {
      throw unavailable(error);
    } finally {
      lane.load--;
    }
  }
}

function storedFrom<R extends Row>(table: Table, values: readonly unknown[]): Stored<R> {
  const row: Record<string, Value> = {};
  const names = table.columnNames;
  for (let i = 0; i < names.length; i++) row[names[i] as string] = values[i] as Value; // the statement selects these columns
  const hasRevision = storedColumns(table).length > names.length;
  return { row: row as Row as R, revision: hasRevision ? Number(values[names.length]) : 0 };
}

function rangeValues(scan: Scan): Parameter[] {
  const keys = [scan.prefix, scan.after, scan.from, scan.to, scan.before];
  const where = Object.values(scan.where ?? {}).map(parameterFrom);
  return [...keys.flatMap((key) => key?.map(parameterFrom) ?? []), ...where, String(scan.limit)];
}

/**
 * The URL as the driver wants it. Of the ways to say "TLS" we keep two: `no-verify`, and all others, which verify the
 * server's certificate (the driver does so too, with a warning for each).
 */
function connectionUrl(given: string): { readonly url: string; readonly schema: string | undefined } {
  if (!URL.canParse(given)) return { url: given, schema: undefined };
  const url = new URL(given);
  const schema = url.searchParams.get('schema') ?? undefined;
  url.searchParams.delete('schema');
  if (['prefer', 'require', 'verify-ca'].includes(url.searchParams.get('sslmode') ?? ''))
    url.searchParams.set('sslmode', 'verify-full');
  return { url: url.href, schema };
}
