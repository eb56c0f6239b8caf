import { StoreUnavailableError } from '../store/errors.ts';
import { MemoryStore } from '../store/memory/index.ts';
import type { Claim, CommitResult, Scan, Stored, WriteSet } from '../store/port.ts';
import type { Row, Table } from '../store/table.ts';

/** A memory store that is unavailable when a test says so. */
export class FailingStore extends MemoryStore {
  #commit: { readonly writes: Table; readonly when: 'before' | 'after' } | undefined;
  #claim: 'before' | 'after' | undefined;
  #scan: Table | undefined;
  #isAway = false;
  #refused = 0;

  /** The next commit that writes to a table fails: before it has taken place, or after, so that only its answer is lost. */
  failCommit(writes: Table, when: 'before' | 'after'): void {
    this.#commit = { writes, when };
  }

  failClaim(when: 'before' | 'after'): void {
    this.#claim = when;
  }

  failScan(table: Table): void {
    this.#scan = table;
  }

  /** Fails all commits, claims and scans. @returns how many it has failed by then. */
  beAway(): () => number {
    this.#isAway = true;
    return () => this.#refused;
  }

  comeBack(): void {
    this.#isAway = false;
  }

  override async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    const { writes, when } = this.#commit ?? {};
    const fails = writeSets.some(({ puts }) => puts.some(({ table }) => table === writes));
    if (fails) this.#commit = undefined;
    return this.#failing(fails ? when : undefined, () => super.commit(writeSets));
  }

  override claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    const when = this.#claim;
    this.#claim = undefined;
    return this.#failing(when, () => super.claim(claim));
  }

  override scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]> {
    const fails = this.#scan === scan.table;
    if (fails) this.#scan = undefined;
    return this.#failing(fails ? 'before' : undefined, () => super.scan(scan));
  }

  async #failing<T>(when: 'before' | 'after' | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#isAway) this.#refused++;
    if (this.#isAway || when === 'before') throw new StoreUnavailableError('away for a moment');
    const answer = await work();
    if (when === 'after') throw new StoreUnavailableError('the answer was lost');
    return answer;
  }
}
