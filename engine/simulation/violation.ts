/** A promise that was broken, and where. */
export class Violation extends Error {
  override name = 'Violation';
  readonly promise: string;
  constructor(promise: string, what: string) {
    super(`${promise}: ${what}`);
    this.promise = promise;
  }
}

/** Takes note of a violation. */
export type Report = (promise: string, what: string) => void;
