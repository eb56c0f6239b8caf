// The event log against what emitters were told, and a reader of it.
//   C1. Positions are 1, 2, 3, … in the order of commits; an event's id is in the log once.
//   C2. An acknowledged event is in the log, and its runs exist; one idempotency key has one answer and one event.
//   C3. A reader that goes from its position to the head, again and again, sees every event once, in one order.

import type { Store } from '../src/store/port.ts';
import { type EventRow, events } from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import type { Report } from './violation.ts';
import type { LogEntry } from './wait-checks.ts';

export interface Emitted {
  readonly eventId: string;
  readonly runIds: readonly string[];
}

export class LogChecks {
  readonly log: LogEntry[] = [];
  readonly #mirror: Mirror;
  readonly #report: Report;
  readonly #positions = new Map<string, number>();
  readonly #intentions = new Map<string, number>();
  readonly #acknowledged = new Map<string, Emitted>();
  readonly #read: string[] = [];

  constructor(mirror: Mirror, report: Report) {
    this.#mirror = mirror;
    this.#report = report;
  }

  appended(row: EventRow, position: number, now: number): void {
    if (position !== this.log.length + 1) {
      this.#report('positions of a log are dense and in commit order', `${position} after ${this.log.length}`);
    }
    if (this.#positions.has(row.id)) this.#report('an event is in the log once', row.id);
    this.#positions.set(row.id, position);
    const { intention } = JSON.parse(row.data) as { intention?: string };
    if (intention !== undefined) {
      const times = (this.#intentions.get(intention) ?? 0) + 1;
      this.#intentions.set(intention, times);
      if (times > 1) this.#report('an idempotency key has one outcome', `${intention} is in the log ${times} times`);
    }
    this.log.push({ row: { ...row, position }, committedAt: now });
  }

  /** An emitter was told that its event is durable. */
  acknowledged(idempotencyKey: string, emitted: Emitted): void {
    const before = this.#acknowledged.get(idempotencyKey);
    if (
      before !== undefined &&
      (before.eventId !== emitted.eventId || before.runIds.join() !== emitted.runIds.join())
    ) {
      this.#report('an idempotency key has one outcome', `${idempotencyKey}: ${before.eventId} and ${emitted.eventId}`);
    }
    this.#acknowledged.set(idempotencyKey, emitted);
    if (!this.#positions.has(emitted.eventId)) this.#report('an acknowledged event is stored', emitted.eventId);
    for (const runId of emitted.runIds) {
      const run = this.#mirror.runs.get(runId);
      if (before === undefined && run?.eventId !== emitted.eventId) {
        this.#report('an acknowledged event has its runs', `${emitted.eventId} without ${runId}`);
      }
    }
  }

  /** One look of the reader: from where it is to the head. */
  async follow(store: Pick<Store, 'head' | 'scan'>, env: string): Promise<void> {
    const head = await store.head(events, [env]);
    const range = { after: [this.#read.length], to: [head] };
    const page = await store.scan({ table: events, prefix: [env], ...range, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of page) {
      if (row.position !== this.#read.length + 1) {
        this.#report('a reader of a log skips nothing', `position ${row.position} after ${this.#read.length}`);
      }
      this.#read.push(row.id);
    }
    if (this.#read.length < head)
      this.#report('a reader of a log skips nothing', `${this.#read.length} of ${head} are there`);
  }

  /** At the end: what is stored, what was read and what was told are the same. */
  compareWith(stored: readonly EventRow[]): void {
    const ids = stored.map(({ id }) => id);
    if (ids.join() !== this.log.map(({ row }) => row.id).join()) {
      this.#report('the log is what was committed', `${ids.length} events stored, ${this.log.length} committed`);
    }
    if (ids.join() !== this.#read.join())
      this.#report('a reader of a log skips nothing', 'its order is not that of the log');
    const known = new Set(ids);
    for (const { eventId } of this.#acknowledged.values()) {
      if (!known.has(eventId)) this.#report('an acknowledged event is stored', eventId);
    }
  }
}
