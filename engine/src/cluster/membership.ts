// Membership: the engines that share a store, as each of them knows it from a table of heartbeats.
//
//   alive ──silence of EXPIRES_MS──► expired ──survivors took over what it had begun──► taken over
//     ▲                                 │                                                │
//     └────────────────────────── its own next heartbeat ───────────────────────────────┘
//
//   K1. It is knowledge that may be old. All that rests on it (who fires a timer, who follows up an event) is done once all the
//       same, by commits that check what they change: two engines that both think a thing theirs cost a conflict.
//   K2. What a silent engine had begun is followed up by another: every survivor may, and the first to finish says so.

import type { GroupCommit } from '../group-commit/index.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store } from '../store/port.ts';
import { engines } from '../store/tables.ts';

export interface MembershipOptions {
  readonly engineId: string;
  readonly store: Store;
  readonly commit: GroupCommit;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The engines that are alive have changed. */
  readonly changed: () => void;
  /** An engine fell silent: follows up what it had begun. */
  readonly takeOver: (engineId: string) => Promise<void>;
}

const HEARTBEAT_MS = 3_000;
const EXPIRES_MS = 10_000;

export class Membership {
  readonly #options: MembershipOptions;
  /** Ids of the engines that are alive, sorted; this one is always among them. */
  #alive: readonly string[];
  #timer: Timer | undefined;
  #beating: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#alive = [options.engineId];
  }

  /** Whether no other engine is known to be alive. */
  get isAlone(): boolean {
    return this.#alive.length === 1;
  }

  isAlive(engineId: string): boolean {
    return this.#alive.includes(engineId);
  }

  /** Whether what bears this id is this engine's to act on first. Of the engines alive, exactly one says so (but see K1). */
  owns(id: string): boolean {
    return this.isAlone || this.#alive[hash(id) % this.#alive.length] === this.#options.engineId;
  }

  async start(): Promise<void> {
    await this.#beat();
    this.#plan();
  }

  /** Looks at once: an engine has come or gone. */
  async look(): Promise<void> {
    if (!this.#closed) await this.#read();
  }

  /** Leaves, with nothing left to follow up. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#beating.catch(() => {});
  }

  async leave(): Promise<void> {
    const { commit, engineId } = this.#options;
    await commit.run('engineLeft', undefined, async (tx) => {
      if ((await tx.get(engines, [engineId])) !== null) tx.delete(engines, [engineId]);
    });
  }

  #plan(): void {
    this.#timer = this.#options.clock.setTimer(HEARTBEAT_MS, () => {
      if (this.#closed) return;
      this.#plan();
      this.#beating = this.#beat().catch((error) =>
        this.#options.logger.warn('a heartbeat of this engine was not stored', { error }),
      );
    });
  }

  async #beat(): Promise<void> {
    const { commit, engineId, clock } = this.#options;
    await commit.run('engineHeartbeat', undefined, async (tx) => {
      const known = await tx.get(engines, [engineId]);
      const expiresAt = tx.now + EXPIRES_MS;
      if (known === null) tx.insert(engines, { id: engineId, startedAt: clock.now(), expiresAt, takenOver: false });
      else tx.update(engines, { ...known, expiresAt, takenOver: false });
    });
    await this.#read();
  }

  async #read(): Promise<void> {
    const { store, engineId, clock, logger, takeOver, changed } = this.#options;
    const now = clock.now();
    const rows = (await store.scan({ table: engines, limit: Number.MAX_SAFE_INTEGER })).map(({ row }) => row);
    const alive = rows.filter(({ id, expiresAt }) => id === engineId || expiresAt > now).map(({ id }) => id);
    if (!alive.includes(engineId)) alive.push(engineId);
    alive.sort();
    const before = this.#alive;
    this.#alive = alive;
    if (alive.length !== before.length || alive.some((id, i) => id !== before[i])) changed();
    for (const { id, expiresAt, takenOver } of rows) {
      if (id === engineId || takenOver || expiresAt > now) continue;
      logger.warn('an engine is silent; what it had begun is followed up', { engine: id });
      await takeOver(id);
      await this.#takenOver(id);
    }
  }

  async #takenOver(id: string): Promise<void> {
    await this.#options.commit.run('engineTakenOver', undefined, async (tx) => {
      const row = await tx.get(engines, [id]);
      if (row === null || row.expiresAt > tx.now) return;
      if (row.expiresAt < tx.now - FORGET_MS) tx.delete(engines, [id]);
      else if (!row.takenOver) tx.update(engines, { ...row, takenOver: true });
    });
  }
}

/** An engine that has been silent for this long, in milliseconds, does not come back. */
const FORGET_MS = 86_400_000;

/** FNV-1a, 32 bits. Source: Fowler, Noll and Vo, http://www.isthe.com/chongo/tech/comp/fnv/ */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
