// Group commit: runs commands side by side, coalesces what they read, commits together what became ready, and answers each
// caller once its own writes are durable.
//
//   executing ──► ready ──► committing ──► answered
//       ▲           (one batch at a time)      │ conflict
//       └──────────────────────────────────────┘
//
//   G1. A caller is answered, and its effects run, only after its writes are durable, and so are those of others that it went by:
//       also when it is refused.
//   G2. Commands under one key execute one after the other; they may well be committed together.
//   G3. While a batch is on its way, all that becomes ready waits for the next one. So a lone command costs one commit's
//       time, and ten thousand a second cost some hundred commits.
//   G4. A command sees the writes of commands before it that are still on their way. If those fail, it runs again: at once when it
//       is still executing, else when the check of its own commit has failed.
//   G5. What a batch did is taken note of as a whole before any of its commands runs again.

import type { Clock } from '../ports/clock.ts';
import type { Ids } from '../ports/ids.ts';
import type { Claim, CommitResult, Store, Stored, WriteSet } from '../store/port.ts';
import { countedRevisions, drawnRevisions } from '../store/revisions.ts';
import { type Key, keyOf, type Row, rowName, type Table } from '../store/table.ts';
import { ConflictError } from './errors.ts';
import { type CachedRow, RowCache, type RowCacheLimits } from './row-cache.ts';
import { Transaction, type TransactionPorts } from './transaction.ts';

export { Transaction } from './transaction.ts';

export type Command<R> = (tx: Transaction) => Promise<R>;

export interface GroupCommitOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  /** What is kept of rows in memory. Default: 10,000 rows, and 32 Mi characters of payloads. */
  readonly cache?: RowCacheLimits;
  /** A commit or a claim failed in a way that leaves open whether it took place: what should have followed from it has not. */
  readonly onOutcomeUnknown?: () => void;
  /** Called with what a command has written, before it is committed: adds to it what follows from it. */
  readonly complete?: (tx: Transaction) => Promise<void> | undefined;
}

/** Conflicts one command may meet before it is given up. Between engines a hot row takes tens; hundreds say it is stuck. */
const ATTEMPTS_MAX = 200;
/** Write sets in one batch, so that one transaction does not hold up everybody for long. */
const BATCH_MAX = 2_000;

/** Enough for the runs under way; what is not in it costs a read. */
const CACHE_LIMITS: RowCacheLimits = { rowsMax: 10_000, payloadLengthMax: 32 * 2 ** 20 };

interface Ready {
  readonly submission: Submission;
  readonly tx: Transaction;
  readonly writeSet: WriteSet;
  /** What it is to be told once `writeSet` is durable. */
  readonly answer: () => void;
}

interface Submission {
  readonly name: string;
  readonly key: string | undefined;
  readonly command: Command<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  attempt: number;
}

export interface GroupCommitStats {
  commands: number;
  commits: number;
  conflicts: number;
  reads: number;
}

export class GroupCommit {
  readonly stats: GroupCommitStats = { commands: 0, commits: 0, conflicts: 0, reads: 0 };
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #cache: RowCache;
  readonly #ports: TransactionPorts;
  readonly #onOutcomeUnknown: () => void;
  readonly #complete: (tx: Transaction) => Promise<void> | undefined;
  readonly #queues = new Map<string, Submission[]>();
  readonly #reads = new Map<Table, Map<string, PendingRead>>();
  /** Number of the newest write set that writes a table. */
  readonly #newestWrite = new Map<Table, number>();
  #newestReady = 0;
  #newestSettled = 0;
  #settledWaiters: { readonly number: number; readonly resolve: () => void }[] = [];
  #ready: Ready[] = [];
  #flushScheduled = false;
  #committing = false;
  #open = 0;
  #idle: (() => void)[] = [];

  constructor(options: GroupCommitOptions) {
    const {
      store,
      clock,
      ids,
      cache = CACHE_LIMITS,
      onOutcomeUnknown = () => {},
      complete = () => undefined,
    } = options;
    this.#onOutcomeUnknown = onOutcomeUnknown;
    this.#complete = complete;
    this.#store = store;
    this.#clock = clock;
    this.#cache = new RowCache(cache);
    this.#ports = {
      store,
      cache: this.#cache,
      ids,
      revisions: store.exclusive ? countedRevisions(ids.number()) : drawnRevisions(() => ids.number()),
      read: (table, key, name) => this.#read(table, key, name),
      settled: (table) => this.#settledWrites(table),
    };
  }

  /**
   * Runs a command and answers when its writes are durable.
   * @param name - For errors and traces.
   * @param key - Commands with the same key execute in turn.
   * @throws {ConflictError} when others keep getting in its way; {StoreUnavailableError} when the store fails.
   */
  run<R>(name: string, key: string | undefined, command: Command<R>): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.#open++;
      this.stats.commands++;
      this.#enqueue({
        name,
        key,
        command,
        resolve: resolve as (value: unknown) => void, // called with what `command` returned
        reject,
        attempt: 1,
      });
    });
  }

  /** Resolves when no command is under way. */
  async settled(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Claims rows of the store, in a commit of its own. Commands that are on their way with an earlier state of them run again. */
  async claim<R extends Row>(claim: Omit<Claim<R>, 'revision'>): Promise<Stored<R>[] | null> {
    const { table } = claim;
    const claimed = await this.#store.claim({ ...claim, revision: this.#ports.revisions.next() }).catch((error) => {
      this.#cache.forgetAll(table); // nobody knows which rows it has changed
      this.#onOutcomeUnknown();
      throw error;
    });
    for (const { row } of claimed ?? []) this.#cache.forget(rowName(table, keyOf(table, row)));
    return claimed;
  }

  #enqueue(submission: Submission): void {
    const { key } = submission;
    if (key === undefined) {
      void this.#execute(submission);
      return;
    }
    const queue = this.#queues.get(key);
    if (queue !== undefined) {
      queue.push(submission);
      return;
    }
    this.#queues.set(key, []);
    void this.#executeInTurn(submission, key);
  }

  async #executeInTurn(first: Submission, key: string): Promise<void> {
    for (let submission: Submission | undefined = first; submission !== undefined; ) {
      await this.#execute(submission);
      const queue = this.#queues.get(key);
      submission = queue?.shift();
      if (submission === undefined) this.#queues.delete(key);
    }
  }

  async #execute(submission: Submission): Promise<void> {
    const tx = new Transaction(this.#ports, this.#clock.now(), submission.attempt);
    try {
      const result = await submission.command(tx);
      const completed = this.#complete(tx);
      if (completed !== undefined) await completed;
      if (tx.restsOnFailed) await this.#executeAgain(submission, tx);
      else this.#commitSoon(submission, tx, () => submission.resolve(result));
    } catch (error) {
      // What it refused may have changed meanwhile, and no commit would tell.
      if (tx.mayBeOutdated || tx.restsOnFailed) await this.#executeAgain(submission, tx);
      else {
        tx.discarded();
        const answer = () => submission.reject(error);
        // By G1 a refusal because of what others are about to write is one when they have written it.
        if (tx.restsOnPending) {
          tx.dropWrites();
          this.#commitSoon(submission, tx, answer);
        } else this.#close(answer);
      }
    }
  }

  #executeAgain(submission: Submission, tx: Transaction): Promise<void> {
    tx.discarded();
    submission.attempt++;
    return this.#execute(submission);
  }

  #commitSoon(submission: Submission, tx: Transaction, answer: () => void): void {
    const writeSet = tx.writeSet();
    this.#noteWrites(tx, writeSet);
    this.#ready.push({ submission, tx, writeSet, answer });
    this.#scheduleFlush();
  }

  #noteWrites(tx: Transaction, { appends }: WriteSet): void {
    this.#newestReady++;
    tx.forWrites((name, row, revision, table) => {
      this.#cache.willWrite(table, name, row, revision);
      this.#newestWrite.set(table, this.#newestReady);
    });
    for (const { log } of appends) this.#newestWrite.set(log, this.#newestReady);
  }

  #settledWrites(table: Table): Promise<void> | undefined {
    const number = this.#newestWrite.get(table) ?? 0;
    if (number <= this.#newestSettled) return undefined;
    return new Promise((resolve) => this.#settledWaiters.push({ number, resolve }));
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#committing) return;
    this.#flushScheduled = true;
    this.#clock.soon(() => {
      this.#flushScheduled = false;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    if (this.#committing || this.#ready.length === 0) return;
    this.#committing = true;
    const batch = this.#ready.splice(0, BATCH_MAX);
    try {
      this.stats.commits++;
      const results = await this.#store.commit(batch.map(({ writeSet }) => writeSet));
      const refused = batch.filter((ready, i) => !this.#settle(ready, results[i]));
      for (const { submission } of refused) this.#again(submission);
    } catch (error) {
      for (const ready of batch) {
        this.#giveUp(ready);
        this.#close(() => ready.submission.reject(error));
      }
      this.#onOutcomeUnknown();
    } finally {
      this.#committing = false;
      this.#newestSettled += batch.length; // batches go in order
      this.#settledWaiters = this.#settledWaiters.filter(({ number, resolve }) => {
        if (number > this.#newestSettled) return true;
        resolve();
        return false;
      });
      if (this.#ready.length > 0) this.#scheduleFlush();
    }
  }

  /** Whether it is committed. */
  #settle(ready: Ready, outcome: CommitResult | undefined): boolean {
    const { tx, writeSet, answer } = ready;
    if (outcome?.ok === true) {
      const { stamps } = outcome;
      let put = 0;
      tx.forWrites((name, row) => {
        if (row === null) return this.#cache.written(name);
        const stamped = stamps[put];
        const stamp = writeSet.puts[put++]?.stamp;
        this.#cache.written(name, stamp && stamped !== undefined ? { ...row, [stamp.column]: stamped } : undefined);
      });
      tx.committed(outcome.positions);
      this.#close(answer);
      return true;
    }
    this.stats.conflicts++;
    this.#giveUp(ready);
    for (const { table, key } of outcome?.conflicts ?? []) this.#cache.forget(rowName(table, key));
    return false;
  }

  #again(submission: Submission): void {
    if (submission.attempt >= ATTEMPTS_MAX) {
      this.#close(() => submission.reject(new ConflictError(submission.name, submission.attempt)));
      return;
    }
    submission.attempt++;
    this.#enqueue(submission);
  }

  #giveUp({ tx }: Ready): void {
    tx.discarded();
    tx.forWrites((name) => this.#cache.writeFailed(name));
    tx.forGuards((name) => this.#cache.forget(name));
  }

  #close(answer: () => void): void {
    this.#open--;
    answer();
    if (this.#open === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Collects the reads of this turn, by table, and asks the store once for each table. */
  #read(table: Table, key: Key, name: string): Promise<CachedRow> {
    let reads = this.#reads.get(table);
    if (reads === undefined) {
      reads = new Map();
      this.#reads.set(table, reads);
      queueMicrotask(() => void this.#readAll(table));
    }
    let pending = reads.get(name);
    if (pending === undefined) {
      pending = new PendingRead(key);
      reads.set(name, pending);
    }
    return pending.promise;
  }

  async #readAll(table: Table): Promise<void> {
    const reads = [...(this.#reads.get(table) ?? [])];
    this.#reads.delete(table);
    this.stats.reads += reads.length;
    try {
      const rows = await this.#store.get(
        table,
        reads.map(([, { key }]) => key),
      );
      for (const [i, [name, pending]] of reads.entries()) {
        pending.resolve(this.#cache.readFromStore(table, name, rows[i] ?? null));
      }
    } catch (error) {
      for (const [, pending] of reads) pending.reject(error);
    }
  }
}

class PendingRead {
  readonly key: Key;
  readonly promise: Promise<CachedRow>;
  readonly resolve: (row: CachedRow) => void;
  readonly reject: (error: unknown) => void;

  constructor(key: Key) {
    this.key = key;
    const { promise, resolve, reject } = Promise.withResolvers<CachedRow>();
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
  }
}
