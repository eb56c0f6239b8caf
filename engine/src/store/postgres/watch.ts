// LISTEN and NOTIFY on a connection of their own.
//   W1. After a connection was lost every listener is called with an empty payload: what was notified meanwhile is unknown.
//   W2. What is notified in one turn is sent together, each message once.

import { createHash } from 'node:crypto';
import type { Clock } from '../../ports/clock.ts';
import { type Connection, type ConnectionOptions, Lane, sleep } from './connection.ts';
import { identifier } from './sql.ts';
import { arrayFrom } from './values.ts';

type Listener = (payload: string) => void;

/** PostgreSQL takes payloads of less than 8,000 bytes. */
const PAYLOAD_BYTES_MAX = 7_999;
/** PostgreSQL cuts names off there. */
const NAME_BYTES_MAX = 63;
const RETRY_MS = 1_000;

const notifyStatement = {
  name: 'ironflow_notify',
  text: 'SELECT pg_notify(n."channel", n."payload") FROM unnest($1::text[], $2::text[]) AS n("channel", "payload")',
};

export class Watch {
  readonly #schema: string;
  readonly #clock: Clock;
  readonly #lane: Lane;
  /** By PostgreSQL's name of the channel. */
  readonly #listeners = new Map<string, Set<Listener>>();
  #outgoing = new Map<string, readonly [channel: string, payload: string]>();
  #isFirst = true;
  #closed = false;

  constructor(options: ConnectionOptions, schema: string) {
    this.#schema = schema;
    this.#clock = options.clock;
    this.#lane = new Lane(options, (connection) => this.#opened(connection));
  }

  watch(channel: string, listener: Listener): () => void {
    const name = this.#name(channel);
    let listeners = this.#listeners.get(name);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(name, listeners);
    }
    listeners.add(listener);
    void this.#listen(name);
    return () => listeners.delete(listener);
  }

  notify(channel: string, payload: string): void {
    const isSendable = Buffer.byteLength(payload) <= PAYLOAD_BYTES_MAX && !payload.includes('\0');
    const message = [this.#name(channel), isSendable ? payload : ''] as const;
    if (this.#outgoing.size === 0) this.#clock.soon(() => void this.#send());
    this.#outgoing.set(message.join('\0'), message);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#lane.close();
  }

  async #send(): Promise<void> {
    const messages = [...this.#outgoing.values()];
    this.#outgoing = new Map();
    if (this.#closed) return;
    const column = (at: 0 | 1) =>
      arrayFrom(
        'text',
        messages.map((message) => message[at]),
      );
    try {
      const connection = await this.#lane.connection();
      await connection.query(notifyStatement, [column(0), column(1)]);
    } catch {
      // Best effort: a lost hint costs its receivers the time until they look by themselves.
    }
  }

  async #listen(name: string): Promise<void> {
    try {
      const connection = await this.#lane.connection();
      await connection.run(`LISTEN ${identifier(name)}`);
    } catch {
      if (this.#closed) return;
      await sleep(this.#clock, RETRY_MS);
      await this.#listen(name);
    }
  }

  async #opened(connection: Connection): Promise<void> {
    const own = connection.processId;
    connection.onNotification((name, payload, processId) => {
      if (processId !== own) this.#call(name, payload);
    });
    await Promise.all([...this.#listeners.keys()].map((name) => connection.run(`LISTEN ${identifier(name)}`)));
    connection.onLost(() => void this.#reopen());
    if (!this.#isFirst) for (const name of this.#listeners.keys()) this.#call(name, '');
    this.#isFirst = false;
  }

  async #reopen(): Promise<void> {
    while (!this.#closed && this.#listeners.size > 0) {
      try {
        await this.#lane.connection();
        return;
      } catch {
        await sleep(this.#clock, RETRY_MS);
      }
    }
  }

  #call(name: string, payload: string): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(payload);
  }

  /** Schemas of one database do not hear each other. */
  #name(channel: string): string {
    const name = `${this.#schema}:${channel}`;
    if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return name;
    return createHash('sha256').update(name).digest('hex').slice(0, NAME_BYTES_MAX);
  }
}
