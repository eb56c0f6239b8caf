// Connections. Statements that are sent in one turn leave in one write and are answered in order, without waiting for each
// other (the driver's pipeline mode).
//   N1. A connection that was lost is never used again; its lane opens another one, with backoff.
//   N2. On a lane, pieces of work that hold a transaction go one after the other.

import pg from 'pg';
import type { Clock } from '../../ports/clock.ts';
import { StoreUnavailableError } from '../errors.ts';
import { isLasting, isLost } from './failures.ts';
import type { Statement } from './sql.ts';
import { type Parameter, readerOf } from './values.ts';

export interface ConnectionOptions {
  readonly url: string;
  readonly clock: Clock;
  /** How long a call waits for a database that cannot be reached. */
  readonly reconnectMs: number;
  readonly counters: Counters;
}

export interface Counters {
  /** Writes to the server: each begins a round trip. */
  flushes: number;
  /** Transactions that were tried again, after a deadlock, a race for one key, or a lost connection. */
  retries: number;
}

export interface Answer {
  readonly rows: readonly (readonly unknown[])[];
  /** What the server says it has done: "COMMIT", "INSERT", ... */
  readonly command: string;
}

/** A statement may wait this long for locks and work: a bound against hanging, far above what any takes. */
const STATEMENT_MS_MAX = 30_000;
/** Later than the server's own limit, so that this one only speaks when the network is silent. */
const ANSWER_MS_MAX = STATEMENT_MS_MAX + 5_000;
/** A frozen engine in a transaction holds locks; after this long the server ends its session. Ours take milliseconds. */
const IDLE_IN_TRANSACTION_MS_MAX = 5_000;
const CONNECT_MS_MAX = 10_000;

/**
 * Every statement is a lookup by key or a range of one index, so the planner is told to take the index in its order. It
 * would decide by statistics, which a fresh or fast-growing database does not have, and the plan is kept for long.
 */
export const PLAN_SETTINGS = [
  "SET plan_cache_mode = 'force_generic_plan'",
  'SET enable_seqscan = off',
  'SET enable_bitmapscan = off',
  'SET enable_sort = off',
  'SET enable_hashjoin = off',
  'SET enable_mergejoin = off',
  'SET jit = off',
];

const SESSION_SETTINGS = [
  `SET statement_timeout = ${STATEMENT_MS_MAX}`,
  `SET idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS_MAX}`,
  // A commit that is answered is durable, whatever the server's default; stronger settings stay.
  "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
];

/** Planning all statements anew takes some milliseconds: nothing, spread over so many. */
const STATEMENTS_PER_PLAN_MAX = 1_000;

/** One open connection. */
export class Connection {
  readonly #client: pg.Client;
  readonly #counters: Counters;
  #lost: Error | undefined;
  #corked = false;
  #statementCount = 0;
  #forgetPlansAt = 10;

  private constructor(client: pg.Client, counters: Counters) {
    this.#client = client;
    this.#counters = counters;
  }

  static async open({ url, counters }: ConnectionOptions): Promise<Connection> {
    const client = new pg.Client({
      connectionString: url,
      pipeline: true,
      application_name: 'ironflow',
      keepAlive: true,
      query_timeout: ANSWER_MS_MAX,
      connectionTimeoutMillis: CONNECT_MS_MAX,
      types: { getTypeParser: readerOf },
    });
    const connection = new Connection(client, counters);
    client.on('error', (error) => {
      connection.#lost ??= error;
    });
    client.on('end', () => {
      connection.#lost ??= new Error('the connection was closed');
    });
    await client.connect();
    // Databases that speak PostgreSQL's protocol but plan for themselves refuse the second kind, which is fine.
    const [settings, hints] = await Promise.all(
      [SESSION_SETTINGS, PLAN_SETTINGS].map((texts) => Promise.allSettled(texts.map((text) => connection.run(text)))),
    );
    for (const answer of settings ?? []) if (answer.status === 'rejected') throw answer.reason;
    for (const answer of hints ?? []) if (answer.status === 'rejected' && isLost(answer.reason)) throw answer.reason;
    return connection;
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** The server's process for this connection: how its own notifications are told from those of others. */
  get processId(): number | null {
    const { processID } = this.#client as pg.Client & { readonly processID: number | null }; // the driver's types lack it
    return processID;
  }

  onNotification(listener: (channel: string, payload: string, processId: number) => void): void {
    this.#client.on('notification', ({ channel, payload = '', processId }) => listener(channel, payload, processId));
  }

  onLost(listener: () => void): void {
    this.#client.once('end', listener);
  }

  /** Sends a prepared statement; the server parses its text once for each connection. */
  query({ name, text }: Statement, values: Parameter[]): Promise<Answer> {
    this.#statementCount++;
    return this.#send({ name, text, values, rowMode: 'array' });
  }

  /** Sends a statement without parameters, not prepared: transactions, settings, DDL. */
  run(text: string): Promise<Answer> {
    return this.#send({ text, rowMode: 'array' });
  }

  /**
   * Has the server forget its plans, now and then: one that was made while a table was empty may have taken any index, and
   * the server itself keeps it until the table is analyzed. To be called outside of transactions.
   */
  forgetStalePlans(): void {
    if (this.#statementCount < this.#forgetPlansAt) return;
    this.#forgetPlansAt = Math.min(this.#forgetPlansAt * 10, this.#statementCount + STATEMENTS_PER_PLAN_MAX);
    void this.run('DISCARD PLANS').catch(() => {}); // not every database has it, and a lost connection shows by itself
  }

  async close(): Promise<void> {
    this.#lost ??= new Error('the store is closed');
    await this.#client.end();
  }

  async #send(query: pg.QueryArrayConfig): Promise<Answer> {
    this.#cork();
    try {
      return await this.#client.query(query);
    } catch (error) {
      // Known here before the socket closes: whoever tries again gets another connection.
      if (isLost(error)) this.#lost ??= error instanceof Error ? error : new Error(String(error));
      throw error;
    }
  }

  /** Holds back what is written until the end of this turn, so that it leaves in one piece. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#counters.flushes++;
    const { stream } = this.#client.connection;
    stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }
}

const BACKOFF_MS_FIRST = 20;
const BACKOFF_MS_MAX = 1_000;

/** A place for one connection at a time, opened when it is first needed and again after a loss. */
export class Lane {
  readonly #options: ConnectionOptions;
  readonly #onOpen: (connection: Connection) => Promise<void>;
  #connection: Connection | undefined;
  #opening: Promise<Connection> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Statements or transactions under way. */
  load = 0;

  constructor(options: ConnectionOptions, onOpen: (connection: Connection) => Promise<void> = async () => {}) {
    this.#options = options;
    this.#onOpen = onOpen;
  }

  /** @throws {StoreUnavailableError} when the database cannot be reached for `reconnectMs`. */
  connection(): Promise<Connection> | Connection {
    if (this.#connection !== undefined && !this.#connection.lost) {
      this.#connection.forgetStalePlans();
      return this.#connection;
    }
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Runs work on the connection when all work before it is done. */
  async alone<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    try {
      return await work(await this.connection());
    } finally {
      resolve();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {}); // whoever asked for it was told
    await this.#last;
    if (this.#connection !== undefined && !this.#connection.lost) await this.#connection.close();
  }

  async #open(): Promise<Connection> {
    const { clock, reconnectMs } = this.#options;
    const giveUpAt = clock.now() + reconnectMs;
    for (let delayMs = BACKOFF_MS_FIRST; ; delayMs = Math.min(delayMs * 2, BACKOFF_MS_MAX)) {
      if (this.#closed) throw new StoreUnavailableError('The store is closed.');
      let connection: Connection | undefined;
      try {
        connection = await Connection.open(this.#options);
        await this.#onOpen(connection);
        this.#connection = connection;
        return connection;
      } catch (error) {
        if (connection !== undefined && !connection.lost) await connection.close();
        if (isLasting(error) || clock.now() + delayMs > giveUpAt) throw unreachable(this.#options.url, error);
      }
      await sleep(clock, delayMs);
    }
  }
}

export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(delayMs, resolve));
}

function unreachable(url: string, error: unknown): StoreUnavailableError {
  const reason = error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
  return new StoreUnavailableError(
    `PostgreSQL at ${placeOf(url)} cannot be reached: ${reason}. Check the address, the credentials and that the server runs.`,
    error,
    isLasting(error),
  );
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Where a database is, without the user and the password. */
export function placeOf(url: string): string {
  try {
    const { host, pathname, searchParams } = new URL(url);
    return `${host || (searchParams.get('host') ?? 'localhost')}${pathname}`;
  } catch {
    return 'the given address';
  }
}
