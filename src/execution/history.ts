// History: the order in which results reach a function, the same on every execution.
//
// Promises of steps settle one at a time, in the order (wake, sequence) in which the results were recorded, with all that one
// sets in motion done before the next. So `Promise.race` over steps has the same winner on replay as it had the first time.
//
//   recorded before, not reached ──reach──► reached ──its turn──► settled
//   begun in this execution      ──done───►
//
//   H1. An item settles only when all before it have settled or been passed over.
//   H2. A recorded result settles in a later turn than the one in which the code comes to it, as it did the first time: code that
//       waits for nothing gets as far before it.
//   H3. An item recorded before whose step the code does not come to holds up those behind it, until it is passed over; it
//       then settles when it is reached, if ever.

import type { MemoEntry } from '@ironflow/core/wire';

interface Item {
  readonly entry: MemoEntry | undefined;
  /** Settles the promise; set once there is one and its result is known. */
  settle: (() => void) | undefined;
  passedOver: boolean;
}

export type Turn = Item;

export class History {
  #items: Item[] = [];
  /** Items before this one have settled or been passed over. */
  #next = 0;
  readonly #byStep = new Map<string, Item>();
  readonly #unreached = new Set<Item>();
  readonly #soon: (callback: () => void) => void;
  #pumping = false;
  #stopped = false;
  /** Items of the memo that have neither settled nor been passed over. */
  #replaying: number;

  constructor(memo: readonly MemoEntry[], soon: (callback: () => void) => void) {
    this.#soon = soon;
    this.#replaying = memo.length;
    for (const entry of memo) this.add(entry);
  }

  get isReplaying(): boolean {
    return this.#replaying > 0;
  }

  /** Nothing settles any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Adds a recorded result that the code has not come to yet. */
  add(entry: MemoEntry): void {
    const item: Item = { entry, settle: undefined, passedOver: false };
    this.#items.push(item);
    this.#byStep.set(entry.stepId, item);
    this.#unreached.add(item);
  }

  entry(stepId: string): MemoEntry | undefined {
    return this.#byStep.get(stepId)?.entry;
  }

  /** The code has come to a recorded step. `settle` is called when it is its turn. */
  reach(stepId: string, settle: () => void): void {
    const item = this.#byStep.get(stepId);
    if (item === undefined) return;
    this.#byStep.delete(stepId); // a step is called once
    this.#unreached.delete(item);
    item.settle = settle;
    if (item.passedOver) this.#soon(() => this.#stopped || settle());
    else if (this.#items[this.#next] === item) this.#pumpSoon();
  }

  /** Takes a place for a result of this execution, in order. */
  take(): Turn {
    const item: Item = { entry: undefined, settle: undefined, passedOver: false };
    this.#items.push(item);
    return item;
  }

  /** The result of a place is known (or, with no `settle`, there will be none). */
  done(turn: Turn, settle: () => void = nothing): void {
    turn.settle = settle;
    this.#pump();
  }

  /** Whether something is about to settle, or would be but for an item that is not reached. */
  get isMoving(): boolean {
    return this.#pumping || this.#items[this.#next]?.settle !== undefined;
  }

  /** Whether results are held up by a step that the code has not come to. */
  get isHeldUp(): boolean {
    const next = this.#items[this.#next];
    if (next === undefined || !this.#unreached.has(next)) return false;
    return this.#items.slice(this.#next).some((item) => item.settle !== undefined);
  }

  /** Lets those behind go first: the code does not come to this step, or not yet. */
  passOver(): void {
    const next = this.#items[this.#next];
    if (next === undefined || !this.#unreached.has(next)) return;
    next.passedOver = true;
    this.#next++;
    this.#replaying--;
    this.#pump();
  }

  /** Recorded steps that the code has not come to. */
  unreached(): MemoEntry[] {
    return [...this.#unreached].flatMap(({ entry }) => (entry === undefined ? [] : [entry]));
  }

  #pump(): void {
    if (this.#pumping || this.#stopped) return;
    const item = this.#items[this.#next];
    if (item?.settle === undefined) return;
    const { settle } = item;
    item.settle = undefined; // with it goes the result
    this.#next++;
    this.#replaying--;
    this.#trim();
    settle();
    this.#pumpSoon();
  }

  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#soon(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** Drops settled items now and then, so that a long run costs no more than a short one. */
  #trim(): void {
    if (this.#next < 1_024 || this.#next * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#next);
    this.#next = 0;
  }
}

const nothing = () => {};
