// The engine's loops: what happens because time passes. Each is a tick around commands.

import type { CommandPorts } from '../commands/ports.ts';
import { purgeRun } from '../commands/purge.ts';
import { expireDeadline } from '../commands/retry-run.ts';
import { expireSession, finishExpiry, releaseLease } from '../commands/sessions.ts';
import { fireTimer } from '../commands/timers.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import type { Row, Table } from '../store/table.ts';
import { idempotencyKeys, runs, sessions, waits } from '../store/tables.ts';
import { DueLoop } from './due-loop.ts';

export interface LoopsOptions {
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly commands: CommandPorts;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a run is kept after its end, in milliseconds; undefined keeps it for ever. */
  readonly runRetentionMs: number | undefined;
}

/** Rows taken up at once: enough to fill a batch, few enough to leave room for others. */
const PAGE = 500;
/** What is past its retention goes in rounds at least this far apart, in milliseconds. */
const PURGE_PAUSE_MS = 10_000;

export class Loops {
  readonly timers: DueLoop;
  readonly deadlines: DueLoop;
  readonly expiry: DueLoop;
  readonly purge: DueLoop;
  readonly #options: LoopsOptions;
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(options: LoopsOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.timers = new DueLoop({
      name: 'timer',
      clock,
      logger,
      next: () => this.#first(waits, 'byDue', 'dueAt'),
      work: (now) => this.#fireTimers(now),
    });
    this.deadlines = new DueLoop({
      name: 'deadline',
      clock,
      logger,
      next: () => this.#first(runs, 'byDeadline', 'deadlineAt'),
      work: (now) => this.#expireDeadlines(now),
    });
    this.expiry = new DueLoop({
      name: 'session expiry',
      clock,
      logger,
      next: () => this.#first(sessions, 'byExpiry', 'expiresAt'),
      work: (now) => this.#expireSessions(now),
    });
    this.purge = new DueLoop({
      name: 'retention',
      clock,
      logger,
      next: () => this.#nextPurge(),
      work: (now) => this.#purgeOld(now),
    });
  }

  start(): void {
    for (const loop of this.#all()) loop.start();
  }

  /** Asks the store again for what is due: something may have been stored without a word of it. */
  lookAgain(): void {
    for (const loop of this.#all()) loop.dueAt(this.#options.clock.now());
  }

  async close(): Promise<void> {
    await Promise.all(this.#all().map((loop) => loop.close()));
  }

  #all(): DueLoop[] {
    return [this.timers, this.deadlines, this.expiry, this.purge];
  }

  async #first<R extends Row>(table: Table<R>, index: string, column: keyof R & string): Promise<number | null> {
    const [first] = await this.#options.store.scan({ table, index, limit: 1 });
    const at = first?.row[column];
    return typeof at === 'number' ? at : null;
  }

  async #fireTimers(now: number): Promise<boolean> {
    const { store, commit, commands } = this.#options;
    const due = await store.scan({ table: waits, index: 'byDue', to: [now], limit: PAGE });
    await Promise.all(
      due.map(({ row: { runId, stepId } }) =>
        commit.run('fireTimer', runId, (tx) => fireTimer(tx, { runId, stepId }, commands)),
      ),
    );
    return due.length === PAGE;
  }

  async #expireDeadlines(now: number): Promise<boolean> {
    const { store, commit, commands } = this.#options;
    const due = await store.scan({ table: runs, index: 'byDeadline', to: [now], limit: PAGE });
    await Promise.all(
      due.map(({ row: { id } }) => commit.run('expireDeadline', id, (tx) => expireDeadline(tx, id, commands))),
    );
    return due.length === PAGE;
  }

  async #expireSessions(now: number): Promise<boolean> {
    const { store, commit, commands } = this.#options;
    const silent = await store.scan({ table: sessions, index: 'byExpiry', to: [now], limit: PAGE });
    let more = silent.length === PAGE;
    for (const { row: session } of silent) {
      const sessionId = session.id;
      if (!(await commit.run('expireSession', undefined, (tx) => expireSession(tx, sessionId)))) continue;
      commands.outside.sessionExpired(sessionId);
      const leased = await store.scan({ table: runs, index: 'bySession', prefix: [sessionId], limit: PAGE });
      await Promise.all(
        leased.map(({ row: { id: runId, fence } }) =>
          commit.run('releaseLease', runId, (tx) =>
            releaseLease(tx, { runId, sessionId, fence, end: { reason: 'expired' } }, commands),
          ),
        ),
      );
      const done = await commit.run('finishExpiry', undefined, (tx) => finishExpiry(tx, sessionId));
      more ||= !done;
    }
    return more;
  }

  async #nextPurge(): Promise<number | null> {
    const { runRetentionMs } = this.#options;
    const ended = runRetentionMs === undefined ? null : await this.#first(runs, 'byEnd', 'endedAt');
    const key = await this.#first(idempotencyKeys, 'byExpiry', 'expiresAt');
    const times = [ended === null ? null : ended + (runRetentionMs ?? 0), key].filter((at) => at !== null);
    return times.length === 0 ? null : Math.max(Math.min(...times), this.#purgedAt + PURGE_PAUSE_MS);
  }

  async #purgeOld(now: number): Promise<boolean> {
    const { store, commit, runRetentionMs } = this.#options;
    this.#purgedAt = now;
    const keys = await store.scan({ table: idempotencyKeys, index: 'byExpiry', to: [now], limit: PAGE });
    await Promise.all(
      keys.map(({ row: { env, scope, key } }) =>
        commit.run('purgeKey', undefined, async (tx) => {
          const row = await tx.get(idempotencyKeys, [env, scope, key]);
          if (row !== null && row.expiresAt <= tx.now) tx.delete(idempotencyKeys, [env, scope, key]);
        }),
      ),
    );
    const before = now - (runRetentionMs ?? 0);
    const ended =
      runRetentionMs === undefined ? [] : await store.scan({ table: runs, index: 'byEnd', to: [before], limit: PAGE });
    let more = keys.length === PAGE || ended.length === PAGE;
    for (const { row: run } of ended) {
      const done = await commit.run('purgeRun', run.id, (tx) => purgeRun(tx, run.id));
      more ||= !done;
    }
    return more;
  }
}
