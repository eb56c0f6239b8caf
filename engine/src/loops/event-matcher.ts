// Event matcher: brings events and the waits for them together.
//
// An event is stored first and its waits are looked up afterwards; a wait is stored first and the log is searched afterwards.
// Whichever of the two comes second finds the first, so no wait misses an event, with no lock between them:
//   M1. After an event is durable, every wait that was durable before this look-up and fits the event is met.
//   M2. After a wait is durable, every event that was durable before this search and fits the wait meets it, the oldest first.
//   M3. An engine deals with the events and the waits that it stored. When it is gone, or a commit's outcome was not known, all
//       events after its stored cursor are done again, by itself or by another. Doing one twice is harmless: a wait knows up to
//       where the log was searched for it, and is met once.
//   M4. The stored cursor stays behind: at least LAG_MS, and behind every search under way. So a wait that was stored just
//       before a crash, and not searched for after it, finds its event among those that are done again.
//   M5. Where other engines write too, what is waited for is looked up at each event: only who writes alone knows it by heart.

import { matchValueAt } from '@ironflow/core';
import type { JobEvent } from '@ironflow/core/wire';
import { fits, meetEventWait } from '../commands/event-waits.ts';
import type { CommandPorts, EventWait } from '../commands/ports.ts';
import type { GroupCommit } from '../group-commit/index.ts';
import { jobEventFrom, matchable } from '../kernel/job-event.ts';
import { matchKeyOf } from '../kernel/match-key.ts';
import { meetsExpression } from '../kernel/wait-match.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import { cursors, events, matchPaths, registries, waits } from '../store/tables.ts';

export interface EventMatcherOptions {
  readonly engineId: string;
  /** Whether this engine is known to be alive. */
  readonly isAlive: (engineId: string) => boolean;
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly commands: CommandPorts;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Cursors are named by this, and by their engine where several write. */
const CURSOR = 'event-matcher';
const PAGE = 500;
/** While events flow the cursor is stored this often, in milliseconds; a restart looks again at what came since. */
const CURSOR_MS = 1_000;
/** Longer than a command takes from reading the log's head to being committed, in milliseconds. */
const LAG_MS = 30_000;
/** Pause after a failure, in milliseconds: the store may be away. */
const FAILURE_PAUSE_MS = 1_000;

interface Search {
  readonly from: number;
  failed: boolean;
}

interface Environment {
  /** The newest event that this engine has stored, or gone through. */
  newest: number;
  stored: number;
  /** Positions of events of this engine that have not been matched yet, in their order. */
  readonly open: Set<number>;
  /** How far matching had come at earlier times, oldest first. */
  readonly marks: { readonly at: number; readonly position: number }[];
  /** Where searches that are under way, or failed and will be tried again, began. */
  readonly searches: Set<Search>;
}

export class EventMatcher {
  readonly #options: EventMatcherOptions;
  readonly #environments = new Map<string, Environment>();
  /** Names that are or were waited for, by environment, with the paths compared: nothing else needs looking up. */
  readonly #paths = new Map<string, Set<string>>();
  /** Look-ups of this turn. */
  readonly #lookUps = new Map<string, Promise<ReadonlySet<string>>>();
  readonly #cursorName: string;
  readonly #turns = new Map<string, Promise<void>>();
  readonly #pauses = new Set<() => void>();
  readonly #underWay = new Set<Promise<void>>();
  #cursorTimer: Timer | undefined;
  #closed = false;

  constructor(options: EventMatcherOptions) {
    this.#options = options;
    this.#cursorName = options.store.exclusive ? CURSOR : cursorNameOf(options.engineId);
  }

  /** Takes up what this engine, and those that are gone, left unmatched. */
  async start(): Promise<void> {
    const { store, isAlive } = this.#options;
    if (store.exclusive) await this.#learnPaths();
    for (const env of await this.#environmentNames()) await this.#open(env);
    const known = await store.scan({ table: cursors, limit: Number.MAX_SAFE_INTEGER });
    for (const { env, name } of known.map(({ row }) => row)) {
      const engineId = engineOfCursor(name);
      if (name === this.#cursorName || engineId === undefined || isAlive(engineId)) continue;
      await this.#takeOver(env, name);
      await this.#options.commit.run('dropCursor', undefined, async (tx) => {
        if ((await tx.get(cursors, [env, name])) !== null) tx.delete(cursors, [env, name]);
      });
    }
  }

  /** Another engine is silent: goes through the events that came after its cursors. */
  async takeOver(engineId: string): Promise<void> {
    for (const env of await this.#environmentNames()) await this.#takeOver(env, cursorNameOf(engineId));
  }

  /** Leaves nothing to follow up. Called when all is settled. */
  async leave(): Promise<void> {
    for (const env of this.#environments.keys()) {
      await this.#options.commit.run('dropCursor', undefined, async (tx) => {
        if ((await tx.get(cursors, [env, this.#cursorName])) !== null) tx.delete(cursors, [env, this.#cursorName]);
      });
    }
  }

  /** An environment was made, here or by another engine. */
  environmentChanged(env: string): void {
    if (!this.#environments.has(env)) this.#own(this.#untilDone(() => this.#open(env), { env }));
  }

  /** Where other engines store events too, this engine's cursors come along, so that little is to be done again after it. */
  async keepUp(): Promise<void> {
    for (const [env, environment] of this.#environments) {
      environment.newest = Math.max(environment.newest, await this.#options.store.head(events, [env]));
    }
    this.#planToStore();
  }

  async #takeOver(env: string, cursorName: string): Promise<void> {
    const { store } = this.#options;
    const [cursor] = await store.get(cursors, [[env, cursorName]]);
    const head = await store.head(events, [env]);
    await this.#goThrough(env, cursor?.row.position ?? 0);
    await this.#storeCursor(env, cursorName, head);
  }

  async #environmentNames(): Promise<string[]> {
    const rows = await this.#options.store.scan({ table: registries, limit: Number.MAX_SAFE_INTEGER });
    return rows.map(({ row }) => row.env);
  }

  async #learnPaths(): Promise<void> {
    const { store } = this.#options;
    for (let after: readonly string[] | undefined; ; ) {
      const page = await store.scan({ table: matchPaths, ...(after && { after }), limit: PAGE });
      for (const { row } of page) this.#learnPath(row.env, row.eventName, row.path);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      after = [last.row.env, last.row.eventName, last.row.path];
    }
  }

  /** Something may have been stored without a word of it: does again what came after the stored cursors. */
  lookAgain(): void {
    this.#own(
      this.#untilDone(async () => {
        if (this.#options.store.exclusive) await this.#learnPaths();
        for (const [env, { stored }] of this.#environments) await this.#goThrough(env, stored);
      }, {}),
    );
  }

  eventAppended(env: string, position: number, event: JobEvent): void {
    const environment = this.#environment(env, position - 1);
    environment.newest = Math.max(environment.newest, position);
    const paths = this.#pathsOf(env, event.name);
    if (paths === undefined) {
      this.#planToStore();
      return;
    }
    environment.open.add(position);
    const work = async () => {
      await this.#match(env, position, event, await paths());
      environment.open.delete(position);
      this.#planToStore();
    };
    this.#inTurn(env, event.name, work, { event: event.id });
  }

  eventWaitBegun(wait: EventWait): void {
    this.#learnPath(wait.env, wait.eventName, wait.matchPath);
    const search: Search = { from: wait.searchedTo, failed: false };
    const { searches } = this.#environment(wait.env, wait.searchedTo);
    searches.add(search);
    const work = () => this.#search(wait).then(() => void searches.delete(search));
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
          const end = () => {
            timer.cancel();
            this.#pauses.delete(end);
            resolve();
          };
          const timer = clock.setTimer(FAILURE_PAUSE_MS, end);
          this.#pauses.add(end);
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

  /** What is compared in events of this name; undefined when it is known that nothing is. */
  #pathsOf(env: string, eventName: string): (() => Promise<ReadonlySet<string>>) | undefined {
    const name = nameKey(env, eventName);
    if (this.#options.store.exclusive) {
      const known = this.#paths.get(name);
      return known && (() => Promise.resolve(known));
    }
    // One look-up serves all events that came before it is made.
    let lookUp = this.#lookUps.get(name);
    if (lookUp === undefined) {
      lookUp = Promise.resolve().then(async () => {
        this.#lookUps.delete(name);
        return this.#storedPaths(env, eventName);
      });
      lookUp.catch(() => {}); // its users see the failure, and look again
      this.#lookUps.set(name, lookUp);
    }
    let first: Promise<ReadonlySet<string>> | undefined = lookUp;
    return () => {
      const paths = first ?? this.#storedPaths(env, eventName);
      first = undefined;
      return paths;
    };
  }

  async #storedPaths(env: string, eventName: string): Promise<ReadonlySet<string>> {
    const range = { table: matchPaths, prefix: [env, eventName], limit: Number.MAX_SAFE_INTEGER };
    return new Set((await this.#options.store.scan(range)).map(({ row }) => row.path));
  }

  async #match(env: string, position: number, event: JobEvent, paths: ReadonlySet<string>): Promise<void> {
    let parsed: unknown;
    const fields = () => {
      parsed ??= matchable(event);
      return parsed;
    };
    for (const path of paths) await this.#meetWaits(env, position, event, path, fields);
  }

  async #meetWaits(env: string, position: number, event: JobEvent, path: string, fields: () => unknown): Promise<void> {
    const value = path === '' ? '' : matchValueAt(fields(), path);
    if (value === undefined) return;
    const { store, commit, commands } = this.#options;
    for (let after: readonly string[] | undefined; ; ) {
      const page = await store.scan({
        table: waits,
        index: 'byEvent',
        prefix: [matchKeyOf(env, event.name, path, value)],
        ...(after && { after }),
        limit: PAGE,
      });
      await Promise.all(
        page
          .filter(({ row: { matchExpression } }) => meetsExpression(matchExpression, event, fields))
          .map(({ row: { runId, stepId } }) =>
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
    const { env, eventName, fromPosition } = wait.row;
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
        if (!fits(wait.row, event)) continue;
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

  /** Begins to look after an environment, from this engine's cursor on; where others look after it too, from here on. */
  async #open(env: string): Promise<void> {
    const { store } = this.#options;
    const [cursor] = await store.get(cursors, [[env, this.#cursorName]]);
    const from = cursor?.row.position ?? (store.exclusive ? 0 : await store.head(events, [env]));
    const environment = this.#environment(env, from);
    if (!cursor && from > 0) await this.#storeCursor(env, this.#cursorName, Math.min(from, environment.stored));
    if (store.exclusive) await this.#goThrough(env, from);
  }

  /** Matches all events after a position once more. */
  async #goThrough(env: string, from: number): Promise<void> {
    const { store } = this.#options;
    const environment = this.#environment(env, from);
    const search: Search = { from, failed: false };
    environment.searches.add(search);
    try {
      for (let after = from; ; ) {
        const page = await store.scan({ table: events, prefix: [env], after: [after], limit: PAGE });
        const paths = new Map<string, ReadonlySet<string>>();
        for (const { row } of page) {
          const known = paths.get(row.name) ?? (await this.#pathsOf(env, row.name)?.()) ?? new Set();
          paths.set(row.name, known);
          await this.#match(env, row.position, jobEventFrom(row), known);
          after = row.position;
        }
        environment.newest = Math.max(environment.newest, after);
        if (page.length < PAGE) break;
      }
    } catch (error) {
      search.failed = true; // it holds the cursor until one that covers it succeeds
      throw error;
    }
    environment.searches.delete(search);
    for (const other of environment.searches)
      if (other.failed && other.from >= from) environment.searches.delete(other);
    this.#planToStore();
  }

  #environment(env: string, position: number): Environment {
    let environment = this.#environments.get(env);
    if (environment === undefined) {
      environment = { newest: position, stored: position, open: new Set(), marks: [], searches: new Set() };
      this.#environments.set(env, environment);
    }
    return environment;
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
      if (environment.stored < matchedIn(environment)) this.#planToStore();
      if (position <= environment.stored) continue;
      await this.#storeCursor(env, this.#cursorName, position);
      environment.stored = position;
    }
  }

  /** Puts a cursor forward, never back. */
  async #storeCursor(env: string, name: string, position: number): Promise<void> {
    await this.#options.commit.run('storeCursor', undefined, async (tx) => {
      const cursor = await tx.get(cursors, [env, name]);
      const row = { env, name, position };
      if (cursor === null) tx.insert(cursors, row);
      else if (cursor.position < position) tx.update(cursors, row);
    });
  }

  /** The position that M4 allows. */
  #cursorToStore(environment: Environment): number {
    const { marks, searches, stored } = environment;
    const now = this.#options.clock.now();
    const matched = matchedIn(environment);
    if (marks.at(-1)?.position !== matched) marks.push({ at: now, position: matched });
    let position = stored;
    while (marks[0] !== undefined && marks[0].at <= now - LAG_MS) position = marks.shift()?.position ?? position;
    return Math.min(position, ...[...searches].map(({ from }) => from));
  }
}

/** Of the events that this engine has stored, all up to here have been matched. */
function matchedIn({ open, newest }: Environment): number {
  const [first] = open; // they come in the order of their positions
  return first === undefined ? newest : first - 1;
}

const nameKey = (env: string, eventName: string) => `${env} ${eventName}`;
const cursorNameOf = (engineId: string) => `${CURSOR} ${engineId}`;

/** Whose cursor it is; undefined for one of another kind. The engine that writes alone has no id in it. */
function engineOfCursor(name: string): string | undefined {
  if (name === CURSOR) return '';
  return name.startsWith(`${CURSOR} `) ? name.slice(CURSOR.length + 1) : undefined;
}
