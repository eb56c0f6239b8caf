// Event matcher: brings events and the waits for them together.
//
// An event is stored first and its waits are looked up afterwards; a wait is stored first and the log is searched afterwards.
// Whichever of the two comes second finds the first, so no wait misses an event, with no lock between them:
//   M1. After an event is durable, every wait that was durable before this look-up and fits the event is met.
//   M2. After a wait is durable, every event that was durable before this search and fits the wait meets it, the oldest first.
//   M3. After a crash, or a commit whose outcome is not known, the matcher does all events after the stored cursor again. Doing
//       one twice is harmless: a wait knows up to where the log was searched for it, and is met once.
//   M4. The stored cursor stays behind: at least LAG_MS, and behind every search under way. So a wait that was stored just
//       before a crash, and not searched for after it, finds its event among those that are done again.

import { matchValueAt } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import { matchable } from '../commands/begin-wait.ts';
import { meetEventWait } from '../commands/event-waits.ts';
import type { CommandPorts, EventWait } from '../commands/ports.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import { jobEventFrom } from '../kernel/job-event.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import { cursors, events, matchPaths, registries, waits } from '../store/tables.ts';

export interface EventMatcherOptions {
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly commands: CommandPorts;
  readonly clock: Clock;
  readonly logger: Logger;
}

const CURSOR = 'event-matcher';
const PAGE = 500;
/** While events flow the cursor is stored this often, in milliseconds; a restart looks again at what came since. */
const CURSOR_MS = 1_000;
/** Longer than a command takes from reading the log's head to being committed, in milliseconds. */
const LAG_MS = 30_000;
/** Pause after a failure, in milliseconds: the store may be away. */
const FAILURE_PAUSE_MS = 1_000;

interface Environment {
  /** Events up to here have been matched. */
  matched: number;
  stored: number;
  /** Positions matched ahead of `matched`. */
  readonly ahead: Set<number>;
  /** How far matching had come at earlier times, oldest first. */
  readonly marks: { readonly at: number; readonly position: number }[];
  /** Where searches that are under way began. */
  readonly searches: Set<{ readonly from: number }>;
}

export class EventMatcher {
  readonly #options: EventMatcherOptions;
  readonly #environments = new Map<string, Environment>();
  /** Names that are or were waited for, by environment, with the paths compared: nothing else needs looking up. */
  readonly #paths = new Map<string, Set<string>>();
  readonly #turns = new Map<string, Promise<void>>();
  readonly #pauses = new Set<() => void>();
  readonly #underWay = new Set<Promise<void>>();
  #cursorTimer: Timer | undefined;
  #closed = false;

  constructor(options: EventMatcherOptions) {
    this.#options = options;
  }

  /** Learns what is waited for, and goes through the events that came after the stored cursors. */
  async start(): Promise<void> {
    const { store } = this.#options;
    for (let after: readonly string[] | undefined; ; ) {
      const page = await store.scan({ table: matchPaths, ...(after && { after }), limit: PAGE });
      for (const { row } of page) this.#learnPath(row.env, row.eventName, row.path);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) break;
      after = [last.row.env, last.row.eventName, last.row.path];
    }
    const all = await store.scan({ table: registries, limit: Number.MAX_SAFE_INTEGER });
    for (const { row } of all) await this.#catchUp(row.env);
  }

  /** Something may have been stored without a word of it: does again what came after the stored cursors. */
  lookAgain(): void {
    this.#own(this.#untilDone(() => this.start(), {}));
  }

  eventAppended(env: string, position: number, event: JobEvent): void {
    if (!this.#environments.has(env)) this.#environments.set(env, newEnvironment(position - 1));
    if (this.#paths.has(nameKey(env, event.name))) {
      this.#inTurn(env, event.name, () => this.#match(env, position, event), { event: event.id });
    } else this.#advance(env, position);
  }

  eventWaitBegun(wait: EventWait): void {
    this.#learnPath(wait.env, wait.eventName, wait.matchPath);
    const search = { from: wait.searchedTo };
    const searches = this.#environments.get(wait.env)?.searches;
    searches?.add(search);
    const work = () => this.#search(wait).then(() => void searches?.delete(search));
    this.#inTurn(wait.env, wait.eventName, work, { run: wait.runId });
  }

  /** Resolves when all that it was told of so far has been dealt with. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cursorTimer?.cancel();
    for (const end of this.#pauses) end();
    await this.settled();
  }

  /** One after the other for each event name, so that the older of two events meets a wait that fits both. */
  #inTurn(env: string, eventName: string, work: () => Promise<void>, fields: Readonly<Record<string, string>>): void {
    const name = nameKey(env, eventName);
    const turn = (this.#turns.get(name) ?? Promise.resolve())
      .then(() => this.#untilDone(work, fields))
      .finally(() => {
        if (this.#turns.get(name) === turn) this.#turns.delete(name);
      });
    this.#turns.set(name, turn);
    this.#own(turn);
  }

  async #untilDone(work: () => Promise<void>, fields: Readonly<Record<string, string>>): Promise<void> {
    const { clock, logger } = this.#options;
    while (!this.#closed) {
      try {
        return await work();
      } catch (error) {
        logger.error('an event could not be matched with its waits and will be tried again', { ...fields, error });
        await new Promise<void>((resolve) => {
          this.#pauses.add(resolve);
          clock.setTimer(FAILURE_PAUSE_MS, resolve);
        });
      }
    }
  }

  #own(work: Promise<void>): void {
    const owned = work.finally(() => this.#underWay.delete(owned));
    this.#underWay.add(owned);
  }

  #learnPath(env: string, eventName: string, path: string): void {
    const name = nameKey(env, eventName);
    const paths = this.#paths.get(name);
    if (paths === undefined) this.#paths.set(name, new Set([path]));
    else paths.add(path);
  }

  async #match(env: string, position: number, event: JobEvent): Promise<void> {
    const paths = this.#paths.get(nameKey(env, event.name));
    if (paths !== undefined) {
      const fields = [...paths].some((path) => path !== '') ? matchable(event) : {};
      for (const path of paths) await this.#meetWaits(env, position, event, path, fields);
    }
    this.#advance(env, position);
  }

  async #meetWaits(env: string, position: number, event: JobEvent, path: string, fields: unknown): Promise<void> {
    const value = path === '' ? '' : matchValueAt(fields, path);
    if (value === undefined) return;
    const { store, commit, commands } = this.#options;
    for (let after: readonly string[] | undefined; ; ) {
      const page = await store.scan({
        table: waits,
        index: 'byEvent',
        prefix: [env, event.name, path, value],
        ...(after && { after }),
        limit: PAGE,
      });
      await Promise.all(
        page.map(({ row: { runId, stepId } }) =>
          commit.run('meetEventWait', runId, (tx) => meetEventWait(tx, { runId, stepId, position, event }, commands)),
        ),
      );
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      after = [last.row.runId, last.row.stepId];
    }
  }

  /** Looks through the log for the first event that meets a wait. */
  async #search({ runId, stepId }: EventWait): Promise<void> {
    const { store, commit, commands } = this.#options;
    const [wait] = await store.get(waits, [[runId, stepId]]);
    if (wait === null || wait === undefined || wait.row.eventName === null) return;
    const { env, eventName, matchPath, matchValue, fromPosition } = wait.row;
    for (let after = fromPosition; ; ) {
      const page = await store.scan({
        table: events,
        index: 'byName',
        prefix: [env, eventName],
        after: [after],
        limit: PAGE,
      });
      for (const { row } of page) {
        const event = jobEventFrom(row);
        if (matchPath !== '' && matchValueAt(matchable(event), matchPath) !== matchValue) continue;
        const { position } = row;
        await commit.run('meetEventWait', runId, (tx) =>
          meetEventWait(tx, { runId, stepId, position, event }, commands),
        );
        return;
      }
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      after = last.row.position;
    }
  }

  async #catchUp(env: string): Promise<void> {
    const { store } = this.#options;
    const [cursor] = await store.get(cursors, [[env, CURSOR]]);
    const from = cursor?.row.position ?? 0;
    if (!this.#environments.has(env)) this.#environments.set(env, newEnvironment(from));
    for (let after = from; ; ) {
      const page = await store.scan({ table: events, prefix: [env], after: [after], limit: PAGE });
      for (const { row } of page) {
        await this.#match(env, row.position, jobEventFrom(row));
        after = row.position;
      }
      if (page.length < PAGE) return;
    }
  }

  #advance(env: string, position: number): void {
    const environment = this.#environments.get(env);
    if (environment === undefined || position <= environment.matched) return;
    environment.ahead.add(position);
    while (environment.ahead.delete(environment.matched + 1)) environment.matched++;
    this.#planToStore();
  }

  #planToStore(): void {
    if (this.#closed) return;
    this.#cursorTimer ??= this.#options.clock.setTimer(CURSOR_MS, () => {
      this.#cursorTimer = undefined;
      const { logger } = this.#options;
      this.#own(this.#storeCursors().catch((error) => logger.error('a cursor was not stored', { error })));
    });
  }

  async #storeCursors(): Promise<void> {
    for (const [env, environment] of this.#environments) {
      const position = this.#cursorToStore(environment);
      if (environment.stored < environment.matched) this.#planToStore();
      if (position <= environment.stored) continue;
      await this.#options.commit.run('storeCursor', undefined, async (tx) => {
        const cursor = await tx.get(cursors, [env, CURSOR]);
        const row = { env, name: CURSOR, position };
        if (cursor === null) tx.insert(cursors, row);
        else if (cursor.position < position) tx.update(cursors, row);
      });
      environment.stored = position;
    }
  }

  /** The position that M4 allows. */
  #cursorToStore({ marks, matched, searches, stored }: Environment): number {
    const now = this.#options.clock.now();
    if (marks.at(-1)?.position !== matched) marks.push({ at: now, position: matched });
    let position = stored;
    while (marks[0] !== undefined && marks[0].at <= now - LAG_MS) position = marks.shift()?.position ?? position;
    return Math.min(position, ...[...searches].map(({ from }) => from));
  }
}

const nameKey = (env: string, eventName: string) => `${env} ${eventName}`;

function newEnvironment(position: number): Environment {
  return { matched: position, stored: position, ahead: new Set(), marks: [], searches: new Set() };
}
