// Compensations: what a function has registered to be undone, and where its execution is in undoing it.
//
//   running ──at rest with a failure──► telling ──the run gets no other attempt──► undoing ──all done──► the end is told
//      └──the run is to be undone already (a crash in the midst, a cancel): replayed as far as its history goes──►┘
//
//   C1. They run once nothing else runs, one after the other, the one registered last first; each is a step of its own.
//   C2. One that fails for good is recorded as failed, and those before it are run all the same.
//   C3. From the moment the run is to be undone nothing of the function starts: it is replayed only for what it registers.

import { ValidationError } from '@ironflow/core';
import type { Failure } from '@ironflow/core/wire';

export class Compensations<Call extends { readonly name: string }> {
  readonly #registered = new Map<string, Call>();
  /** How the run will end, once that is decided. */
  ending: Failure | undefined;
  /** A failure that the engine is asked about: is it the last, or is there another attempt? */
  asked: Failure | undefined;
  undoing = false;
  /** A compensation's body is being run. */
  inBody = false;

  constructor(ending: Failure | undefined) {
    this.ending = ending;
  }

  get isEmpty(): boolean {
    return this.#registered.size === 0;
  }

  /** @throws {ValidationError} when one is registered under this name. */
  register(call: Call, stepName: string): void {
    if (this.undoing) return; // what comes now was at something of its own: nothing of it was recorded
    if (this.#registered.has(stepName)) {
      throw new ValidationError(
        `Step "${stepName}" has a compensation already. Give each step that can be undone a name of its own, such as "${stepName}-\${item.id}", and compensate each name once.`,
      );
    }
    this.#registered.set(stepName, call);
  }

  /** In the order in which they run. */
  inOrder(): readonly Call[] {
    return [...this.#registered.values()].reverse();
  }
}
