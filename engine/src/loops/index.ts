// The engine's loops: what happens because time passes. Each is a tick around commands.

import type { CommandPorts } from '../commands/ports.ts';
import { purgeEntries, purgeRun } from '../commands/purge.ts';
import { neverExpires } from '../commands/recording.ts';
import { releaseLease } from '../commands/release-lease.ts';
import { expireDeadline } from '../commands/retry-run.ts';
import { retiredSecretMs } from '../commands/secrets.ts';
import { expireSession, finishExpiry } from '../commands/sessions.ts';
import { fireTimer } from '../commands/timers.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import type { Key, Row, Table } from '../store/table.ts';
import { idempotencyKeys, runAudit, runs, secrets, sessions, waits } from '../store/tables.ts';
import { DueLoop } from './due-loop.ts';

export interface LoopsOptions {
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly commands: CommandPorts;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether what bears this id is this engine's to do first. Others do it when it is overdue. */
  readonly owns: (id: string) => boolean;
  /** Whether no other engine is alive. */
  readonly isAlone: () => boolean;
  /** How long a run is kept after its end, in milliseconds; undefined keeps it for ever. */
  readonly runRetentionMs: number | undefined;
}

/** Rows taken up at once: enough to fill a batch, few enough to leave room for others. */
const PAGE = 500;
/** How long what another engine should have done may be overdue, in milliseconds. */
const OVERDUE_MS = 2_000;
/** What is past its retention goes in rounds at least this far apart, in milliseconds. */
const PURGE_PAUSE_MS = 10_000;
/** What one engine of all does, whichever owns this name. */
const PURGER = 'purge';

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
      next: () => this.#first(waits, 'byDue', 'dueAt', 'runId'),
      work: (now) => this.#fireTimers(now),
    });
    this.deadlines = new DueLoop({
      name: 'deadline',
      clock,
      logger,
      next: () => this.#first(runs, 'byDeadline', 'deadlineAt', 'id'),
      work: (now) => this.#expireDeadlines(now),
    });
    this.expiry = new DueLoop({
      name: 'session expiry',
      clock,
      logger,
      next: () => this.#first(sessions, 'byExpiry', 'expiresAt', 'id'),
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

  /** When this engine has to do the next thing of an index. */
  async #first<R extends Row>(
    table: Table<R>,
    index: string,
    column: keyof R & string,
    id: keyof R & string,
  ): Promise<number | null> {
    const { store, clock, isAlone, owns } = this.#options;
    const dueAt = (row: R) => row[column] as number; // the index has no rows without it
    const [first] = await store.scan({ table, index, limit: 1 });
    if (first === undefined) return null;
    if (isAlone()) return dueAt(first.row);
    const coming = (await store.scan({ table, index, after: [clock.now()], limit: PAGE })).map(({ row }) => row);
    const own = coming.find((row) => owns(String(row[id]))) ?? (coming.length === PAGE ? coming.at(-1) : undefined);
    const times = [dueAt(first.row) + (owns(String(first.row[id])) ? 0 : OVERDUE_MS)];
    return Math.min(...times, ...(own === undefined ? [] : [dueAt(own)]));
  }

  /** Does what is due in an index, up to a page of it at a time. What is another engine's only when it is overdue. */
  async #doDue<R extends Row>(
    table: Table<R>,
    index: string,
    column: keyof R & string,
    id: keyof R & string,
    now: number,
    work: (row: R) => Promise<unknown>,
  ): Promise<boolean> {
    const { store, owns } = this.#options;
    for (let after: Key | undefined; ; ) {
      const due = await store.scan({ table, index, to: [now], ...(after && { after }), limit: PAGE });
      const ours = due.filter(({ row }) => owns(String(row[id])) || (row[column] as number) <= now - OVERDUE_MS);
      await Promise.all(ours.map(({ row }) => work(row)));
      const last = due.at(-1);
      if (last === undefined || due.length < PAGE) return false;
      if (ours.length > 0) return true;
      after = table.indexes[index]?.columns.map((name) => last.row[name] ?? null);
    }
  }

  #fireTimers(now: number): Promise<boolean> {
    const { commit, commands } = this.#options;
    return this.#doDue(waits, 'byDue', 'dueAt', 'runId', now, ({ runId, stepId }) =>
      commit.run('fireTimer', runId, (tx) => fireTimer(tx, { runId, stepId }, commands)),
    );
  }

  #expireDeadlines(now: number): Promise<boolean> {
    const { commit, commands } = this.#options;
    return this.#doDue(runs, 'byDeadline', 'deadlineAt', 'id', now, ({ id }) =>
      commit.run('expireDeadline', id, (tx) => expireDeadline(tx, id, commands)),
    );
  }

  async #expireSessions(now: number): Promise<boolean> {
    const { store, commit, commands } = this.#options;
    let more = false;
    const again = await this.#doDue(sessions, 'byExpiry', 'expiresAt', 'id', now, async ({ id: sessionId }) => {
      if (!(await commit.run('expireSession', undefined, (tx) => expireSession(tx, sessionId)))) return;
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
    });
    return more || again;
  }

  async #nextPurge(): Promise<number | null> {
    const { runRetentionMs, store, owns } = this.#options;
    if (!owns(PURGER)) return null;
    const [run] = runRetentionMs === undefined ? [] : await store.scan({ table: runs, index: 'byEnd', limit: 1 });
    const [oldest] = await store.scan({ table: idempotencyKeys, index: 'byExpiry', limit: 1 });
    const ended = run?.row.endedAt ?? null;
    const key = oldest?.row.expiresAt ?? null;
    const [retired] = await store.scan({ table: secrets, index: 'byRetirement', limit: 1 });
    const [entry] = await store.scan({ table: runAudit, index: 'byExpiry', limit: 1, before: [neverExpires] });
    const times = [
      ended === null ? null : ended + (runRetentionMs ?? 0),
      key,
      retired === undefined ? null : (retired.row.retiredAt ?? 0) + retiredSecretMs,
      entry?.row.expiresAt ?? null,
    ].filter((at) => at !== null);
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
    await this.#purgeSecrets(now - retiredSecretMs);
    const [entry] = await store.scan({ table: runAudit, index: 'byExpiry', to: [now], limit: 1 });
    const moreEntries = entry !== undefined && (await commit.run('purgeEntries', undefined, purgeEntries));
    const before = now - (runRetentionMs ?? 0);
    const ended =
      runRetentionMs === undefined ? [] : await store.scan({ table: runs, index: 'byEnd', to: [before], limit: PAGE });
    let more = moreEntries || keys.length === PAGE || ended.length === PAGE;
    for (const { row: run } of ended) {
      const done = await commit.run('purgeRun', run.id, (tx) => purgeRun(tx, run.id, this.#options.commands));
      more ||= !done;
    }
    return more;
  }

  async #purgeSecrets(retiredBefore: number): Promise<void> {
    const { store, commit } = this.#options;
    const index = {
      table: secrets,
      index: 'byRetirement',
      to: [retiredBefore],
      limit: Number.MAX_SAFE_INTEGER,
    } as const;
    for (const { row } of await store.scan(index)) {
      const key = [row.env, row.name, row.number];
      await commit.run('purgeSecret', undefined, async (tx) => {
        if ((await tx.get(secrets, key)) !== null) tx.delete(secrets, key);
      });
    }
  }
}
