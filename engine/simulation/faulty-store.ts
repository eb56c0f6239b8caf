// A store as one engine process sees it: slow, at times unreachable, and gone when the process is killed in the middle of a
// commit, before or after it took place.

import { StoreUnavailableError } from '../src/store/errors.ts';
import type { Claim, CommitResult, Scan, Store, Stored, WriteSet } from '../src/store/port.ts';
import type { Key, Row, Table } from '../src/store/table.ts';
import type { StoreFaults } from './faults.ts';
import type { SimProcess } from './process.ts';
import type { Random } from './random.ts';

/**
 * `before`: the process is killed before the commit takes place. `after`: it is killed when the commit has taken place. `lost`: the
 * commit has taken place, and the process lives and does not hear of it.
 */
export type PlannedFault = 'before' | 'after' | 'lost';

export interface FaultyStoreOptions {
  readonly store: Store;
  readonly process: SimProcess;
  readonly random: Random;
  readonly faults: () => StoreFaults;
  /** A fault that is due at this very commit or claim, whatever the chances; called once for each. */
  readonly planned: () => PlannedFault | undefined;
  /** Ends the process that uses this store. */
  readonly kill: () => void;
  readonly count: (fault: string) => void;
}

export class FaultyStore implements Store {
  readonly exclusive: boolean;
  readonly #options: FaultyStoreOptions;

  constructor(options: FaultyStoreOptions) {
    this.#options = options;
    this.exclusive = options.store.exclusive;
  }

  migrate(): Promise<void> {
    return this.#options.store.migrate();
  }

  get<R extends Row>(table: Table<R>, keys: readonly Key[]): Promise<(Stored<R> | null)[]> {
    return this.#read(() => this.#options.store.get(table, keys));
  }

  scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]> {
    return this.#read(() => this.#options.store.scan(scan));
  }

  count(scan: Scan): Promise<number> {
    return this.#read(() => this.#options.store.count(scan));
  }

  head(log: Table, partition: Key): Promise<number> {
    return this.#read(() => this.#options.store.head(log, partition));
  }

  commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    return this.#write(() => this.#options.store.commit(writeSets));
  }

  claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    return this.#write(() => this.#options.store.claim(claim));
  }

  watch(channel: string, listener: (payload: string) => void): () => void {
    const { store, process, random, faults, count } = this.#options;
    return store.watch(channel, (payload) => {
      const { loseNews, delayMs } = faults();
      if (random.chance(loseNews)) count('news lost');
      else if (delayMs === 0) process.soon(() => listener(payload));
      else process.setTimer(random.int(0, delayMs), () => listener(payload));
    });
  }

  notify(channel: string, payload: string): void {
    if (this.#options.process.alive) this.#options.store.notify(channel, payload);
  }

  backup(path: string): Promise<void> {
    return this.#options.store.backup(path);
  }

  async close(): Promise<void> {}

  async #read<T>(read: () => Promise<T>): Promise<T> {
    const { random, process, faults, count } = this.#options;
    await this.#delay();
    const { failRead } = faults();
    if (failRead > 0 && random.chance(failRead)) {
      count('a read failed');
      throw new StoreUnavailableError('the simulated store is unreachable');
    }
    return process.whileAlive(read());
  }

  async #write<T>(write: () => Promise<T>): Promise<T> {
    const { random, process, faults, planned, kill, count } = this.#options;
    const { killBefore, killAfter, failBefore, failAfter } = faults();
    await this.#delay();
    await process.awake();
    if (!process.alive) return never();
    const fault = planned();
    if (fault === 'before' || random.chance(killBefore)) {
      count('engine killed before a commit');
      kill();
      return never();
    }
    if (random.chance(failBefore)) {
      count('store unreachable before a commit');
      throw new StoreUnavailableError('the simulated store is unreachable');
    }
    const result = await write();
    if (fault === 'after' || random.chance(killAfter)) {
      count('engine killed after a commit');
      kill();
      return never();
    }
    if (fault === 'lost' || random.chance(failAfter)) {
      count('answer of a commit lost');
      throw new StoreUnavailableError('the answer of the simulated store was lost');
    }
    return process.whileAlive(Promise.resolve(result));
  }

  /** Delays are of whole milliseconds of simulated time; most operations take none. */
  async #delay(): Promise<void> {
    const { random, process, faults } = this.#options;
    const { delayMs } = faults();
    if (delayMs === 0 || random.chance(0.7)) return;
    await new Promise<void>((resolve) => process.setTimer(random.int(1, delayMs), resolve));
  }
}

const never = <T>() => new Promise<T>(() => {});
