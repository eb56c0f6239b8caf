// Commits a batch of write sets in two round trips, however many there are:
//
//   1. BEGIN, lock the rows (tables by name, rows by key), lock the heads of the logs; the answers say what is there
//   2. delete, insert, update, raise the heads, COMMIT                              — or ROLLBACK when nothing holds
//
//   T1. A row that a write set rests on is locked until the commit: for writing, or against being written.
//   T2. A row whose absence a write set rests on is inserted and deleted again, so that its key is taken until the commit.
//       A race for a key thus ends in the unique index: one commits, the other reads again.
//   T3. Heads are locked for writing from before their positions are given out until the commit, so positions are dense and
//       a reader sees them in order.
//   T4. Before COMMIT is sent nothing can have happened, and a lost connection means trying again. After that nobody knows:
//       the call throws.

import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import type { CommitResult, WriteSet } from '../port.ts';
import { type Key, keyOf, type Table, type Value } from '../table.ts';
import { Batch, type Changes, type Head, type Written } from './batch.ts';
import { type Answer, type Connection, type Counters, type Lane, sleep } from './connection.ts';
import { isAftermath, isLost, isRetryable, isTaken, takenIn, unavailable } from './failures.ts';
import { snakeCase, storedColumns } from './sql.ts';
import type { Statements } from './statements.ts';
import { arrayFrom, type Parameter } from './values.ts';

export interface CommitterOptions {
  readonly lane: Lane;
  readonly statements: Statements;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
}

/** Every failed try means that somebody else got through, so this many in a row say that something is wrong. */
const ATTEMPTS_MAX = 50;
const RETRY_MS_MAX = 100;
/** Tries of a whole batch before its write sets go one by one: then it shows which of them cannot be inserted. */
const BATCH_ATTEMPTS_TAKEN = 2;

/** The answer to a write set that cannot be committed with the rest of its batch. */
const ONE_BY_ONE = Symbol('one by one');

export class Committer {
  readonly #options: CommitterOptions;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    const results = await this.#commitTogether(writeSets);
    if (results !== ONE_BY_ONE) return results;
    const single: CommitResult[] = [];
    for (const writeSet of writeSets) {
      const [result] = (await this.#commitTogether([writeSet])) as CommitResult[]; // one write set is never split further
      if (result !== undefined) single.push(result);
    }
    return single;
  }

  /**
   * Runs `work` in a transaction in which `guards` hold, or answers null. For claims: the work is sent with the COMMIT.
   */
  async guarded(guards: WriteSet['guards'], work: (connection: Connection) => Promise<Answer>): Promise<Answer | null> {
    return this.#retrying(async (connection) => {
      const batch = new Batch([{ guards, puts: [], deletes: [], appends: [] }]);
      await this.#lock(connection, batch);
      if (batch.decide()[0]?.ok !== true) {
        await connection.run('ROLLBACK');
        return null;
      }
      return this.#finish(connection, batch.changes(), [], work);
    });
  }

  async #commitTogether(writeSets: readonly WriteSet[]): Promise<CommitResult[] | typeof ONE_BY_ONE> {
    let taken = 0;
    const attempt = async (connection: Connection): Promise<CommitResult[]> => {
      const batch = new Batch(writeSets);
      if (batch.isEmpty) return batch.decide();
      await this.#lock(connection, batch);
      const results = batch.decide();
      if (results.every(({ ok }) => !ok)) await connection.run('ROLLBACK');
      else await this.#finish(connection, batch.changes(), batch.heads());
      return results;
    };
    return this.#retrying<CommitResult[] | typeof ONE_BY_ONE>(attempt, (error) => {
      if (!isTaken(error) || ++taken < BATCH_ATTEMPTS_TAKEN) return undefined;
      return writeSets.length > 1 ? ONE_BY_ONE : takenResult(writeSets[0], error);
    });
  }

  /** Tries until it is through. `settle` may end it with an answer that a failure stands for. */
  #retrying<R>(
    attempt: (connection: Connection) => Promise<R>,
    settle: (error: unknown) => R | undefined = () => undefined,
  ): Promise<R> {
    const { lane, clock, random, counters } = this.#options;
    return lane.alone(async (first) => {
      let connection = first;
      for (let attempts = 1; ; attempts++) {
        try {
          return await attempt(connection);
        } catch (error) {
          const settled = settle(error);
          if (settled !== undefined) return settled;
          const again = isRetryable(error) || (isLost(error) && !(error instanceof OutcomeUnknownError));
          if (!again || attempts >= ATTEMPTS_MAX) throw unavailable(causeOf(error), outcomeOf(error));
        }
        counters.retries++;
        // At random, so that two who met do not meet again.
        await sleep(clock, random() * Math.min(2 ** attempts, RETRY_MS_MAX));
        connection = await lane.connection();
      }
    });
  }

  /** The first round trip. */
  async #lock(connection: Connection, batch: Batch): Promise<void> {
    const { statements } = this.#options;
    const slots = batch.slots();
    const heads = batch.heads();
    const answers = [connection.run('BEGIN ISOLATION LEVEL READ COMMITTED')];
    for (const { table, slots: rows } of slots) {
      const keys = keyArrays(
        table,
        rows.map(({ key }) => key),
      );
      const isWritten = arrayFrom(
        'boolean',
        rows.map((slot) => slot.isWritten),
      );
      answers.push(connection.query(statements.of('lock', table), [...keys, isWritten]));
    }
    if (heads.length > 0) answers.push(connection.query(statements.heads('lockHeads'), headArrays(heads)));
    const [, ...locked] = await allOrRollback(connection, answers);
    for (const [i, { slots: rows }] of slots.entries()) {
      for (const [number, revision] of locked[i]?.rows ?? []) {
        const slot = rows[Number(number) - 1];
        if (slot !== undefined) slot.found = slot.revision = revision as number | null; // a bigint column
      }
    }
    for (const [number, position] of locked[slots.length]?.rows ?? []) {
      const head = heads[Number(number) - 1];
      if (head === undefined) continue;
      head.found = position as number | null; // a bigint column
      head.position = head.found ?? 0;
    }
  }

  /** The second round trip. */
  async #finish(
    connection: Connection,
    changes: readonly Changes[],
    heads: readonly Head[],
    work?: (connection: Connection) => Promise<Answer>,
  ): Promise<Answer> {
    const { statements } = this.#options;
    const answers: Promise<Answer>[] = [];
    const send = (kind: 'insert' | 'update', table: Table, written: readonly Written[]) => {
      if (written.length > 0) answers.push(connection.query(statements.of(kind, table), rowArrays(table, written)));
    };
    const remove = (table: Table, keys: readonly Key[]) => {
      if (keys.length > 0) answers.push(connection.query(statements.of('delete', table), keyArrays(table, keys)));
    };
    for (const { table, deletes } of changes) remove(table, deletes);
    for (const { table, inserts } of changes) send('insert', table, inserts);
    for (const { table, updates } of changes) send('update', table, updates);
    const worked = work?.(connection);
    if (worked !== undefined) answers.push(worked);
    for (const { table, reserved } of changes) remove(table, reserved);
    this.#raise(connection, heads, answers);
    answers.push(connection.run('COMMIT'));
    const all = await Promise.allSettled(answers);
    const failures = all.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    const last = all.at(-1);
    if (last?.status === 'fulfilled' && last.value.command === 'COMMIT') return worked ?? last.value;
    const cause = failures.find((error) => !isAftermath(error));
    // The server has said that it rolled back, or what it refused before it came to the COMMIT; else nobody knows.
    const isRolledBack = last?.status === 'fulfilled' || (cause !== undefined && !isLost(cause));
    throw isRolledBack ? cause : new OutcomeUnknownError(cause);
  }

  #raise(connection: Connection, heads: readonly Head[], answers: Promise<Answer>[]): void {
    const { statements } = this.#options;
    // A head that is only read (by a stamp) is there from now on, so that the next one can lock it.
    const fresh = heads.filter(({ found }) => found === null);
    const raised = heads.filter(({ found, position }) => found !== null && position > found);
    for (const [kind, some] of [['insertHeads', fresh] as const, ['raiseHeads', raised] as const]) {
      if (some.length === 0) continue;
      const positions = arrayFrom(
        'integer',
        some.map(({ position }) => position),
      );
      answers.push(connection.query(statements.heads(kind), [...headArrays(some), positions]));
    }
  }
}

/** COMMIT was sent and not answered. */
class OutcomeUnknownError extends Error {
  constructor(cause: unknown) {
    super('the connection was lost during a commit', { cause });
  }
}

const causeOf = (error: unknown): unknown => (error instanceof OutcomeUnknownError ? (error.cause ?? error) : error);
const outcomeOf = (error: unknown): string =>
  error instanceof OutcomeUnknownError
    ? ' What was being committed may or may not be stored, as a whole.'
    : ' Nothing of it was stored.';

/** Waits for every answer, so that none is left behind on the connection; ends the transaction if one is an error. */
async function allOrRollback(connection: Connection, answers: readonly Promise<Answer>[]): Promise<Answer[]> {
  const settled = await Promise.allSettled(answers);
  const failures = settled.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
  if (failures.length === 0) return Promise.all(answers);
  const cause = failures.find((error) => !isAftermath(error)) ?? failures[0];
  if (!connection.lost && !failures.some(isLost)) await connection.run('ROLLBACK');
  throw cause;
}

/** A lone write set whose insert is refused again and again: what it inserts is there under another key. */
function takenResult(writeSet: WriteSet | undefined, error: unknown): CommitResult[] | undefined {
  const table = takenIn(error);
  const conflicts = (writeSet?.puts ?? [])
    .filter((put) => put.expected === null && snakeCase(put.table.name) === table)
    .map((put) => ({ table: put.table, key: keyOf(put.table, put.row) }));
  return conflicts.length > 0 ? [{ ok: false, conflicts }] : undefined;
}

export function keyArrays(table: Table, keys: readonly Key[]): Parameter[] {
  return table.key.map((name, i) =>
    arrayFrom(
      table.columns[name]?.type ?? 'text',
      keys.map((key) => key[i] ?? null),
    ),
  );
}

function rowArrays(table: Table, written: readonly Written[]): Parameter[] {
  return storedColumns(table).map((name) => {
    const column = table.columns[name];
    const values: Value[] =
      column === undefined ? written.map(({ revision }) => revision) : written.map(({ row }) => row[name] ?? null);
    return arrayFrom(column?.type ?? 'integer', values);
  });
}

function headArrays(heads: readonly Head[]): Parameter[] {
  return [
    arrayFrom(
      'text',
      heads.map(({ log }) => log.name),
    ),
    arrayFrom(
      'text',
      heads.map(({ text }) => text),
    ),
  ];
}
