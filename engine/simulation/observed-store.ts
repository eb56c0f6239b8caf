import { MemoryStore } from '../src/store/memory/index.ts';
import type { Claim, CommitResult, Scan, Store, Stored, WriteSet } from '../src/store/port.ts';
import type { Row } from '../src/store/table.ts';
import { type RunRow, runs } from '../src/store/tables.ts';
import type { Checker } from './checker.ts';
import type { PlantedStore } from './planted/index.ts';

/** Calls of the store at one instant after which engines are taken to go round in a circle. */
const CALLS_MAX = 30_000;

/** The memory store, with the checker looking at each commit as it takes effect; with a bug in it, where one is planted. */
export class ObservedStore extends MemoryStore {
  readonly #checker: Checker;
  readonly #planted: PlantedStore;
  commits = 0;
  #instant = 0;
  #calls = 0;

  constructor(checker: Checker, options: { readonly exclusive: boolean; readonly planted: PlantedStore }) {
    super(options);
    this.#checker = checker;
    this.#planted = options.planted;
  }

  override async commit(writeSets: readonly WriteSet[]): Promise<CommitResult[]> {
    this.commits++;
    if (this.#goesRound()) return new Promise(() => {});
    const { writeSets: change, assigned, results: lie } = this.#planted;
    const applied = change === undefined ? writeSets : await change(writeSets, this);
    const committed = await super.commit(applied);
    const results = assigned?.(applied, committed) ?? committed;
    this.#checker.committed(applied, results);
    return lie?.(writeSets, results) ?? results;
  }

  override async claim<R extends Row>(claim: Claim<R>): Promise<Stored<R>[] | null> {
    this.commits++;
    if (this.#goesRound()) return new Promise(() => {});
    const claimed = await super.claim((this.#planted.claim?.(claim as unknown as Claim) ?? claim) as Claim<R>);
    if (claimed !== null && (claim.table as unknown) === runs)
      this.#checker.claimed(claimed.map(({ row }) => row as unknown as RunRow));
    return claimed;
  }

  override async scan<R extends Row>(scan: Scan<R>): Promise<Stored<R>[]> {
    if (this.#goesRound()) return new Promise(() => {});
    const found = await super.scan(scan);
    return (this.#planted.rows?.(scan as unknown as Scan, found) ?? found) as Stored<R>[];
  }

  /** What is stored, whatever bug is planted. */
  get stored(): Pick<Store, 'get' | 'scan'> {
    return { get: (table, keys) => super.get(table, keys), scan: (scan) => super.scan(scan) };
  }

  /** Whether engines call and call and time does not go on. They are then not answered any more, so that the simulation ends. */
  #goesRound(): boolean {
    const now = this.#checker.now();
    if (now !== this.#instant) this.#calls = 0;
    this.#instant = now;
    if (++this.#calls < CALLS_MAX) return false;
    if (this.#calls === CALLS_MAX) this.#checker.wentRound(CALLS_MAX);
    return true;
  }
}
