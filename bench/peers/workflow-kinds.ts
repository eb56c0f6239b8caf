// What a run of the bench does, the same on every engine. `bodies.ts` has the steps' bodies; each adapter builds the workflows of them.

export interface Kinds {
  /** `argument` steps, one after the other. */
  readonly seq: true;
  /** `argument` steps at once. */
  readonly fan: true;
  /** A step that says when it ran, a sleep of `argument` milliseconds, and such a step again. */
  readonly nap: true;
  /** Waits until it is answered (`deliver`), then a step that says when it ran. */
  readonly wait: true;
  /** One step that says when it ran. */
  readonly first: true;
  /** One step that returns `argument` bytes of text, which is also the result. */
  readonly large: true;
  /** `argument` steps, one after the other, timed by the handler; returns what the early and the late ones took. */
  readonly flat: true;
}

export type WorkflowKind = keyof Kinds;

/** What a step of most kinds returns. */
export interface Stamp {
  readonly i: number;
  readonly ok: true;
  /** When its body ran, in milliseconds since 1970 with fractions; in `nap`, `wait` and `first`. */
  readonly at?: number;
}

/** What a run of `flat` returns: milliseconds a step, in the order of the steps. */
export interface FlatResult {
  readonly n: number;
  readonly early: readonly number[];
  readonly late: readonly number[];
}

export function checkSteps(result: unknown, count: number, what: string): readonly Stamp[] {
  const right =
    Array.isArray(result) && result.length === count && result.every((one, i) => one?.i === i && one?.ok === true);
  if (!right) throw new Error(`${what}: wrong result for ${count} steps: ${JSON.stringify(result)?.slice(0, 300)}`);
  return result;
}

/** The instants of a run whose steps said when they ran. */
export function checkStamps(result: unknown, count: number, what: string): readonly number[] {
  return checkSteps(result, count, what).map(({ at }) => {
    if (typeof at !== 'number') throw new Error(`${what}: a step did not say when it ran`);
    return at;
  });
}

export function checkLarge(result: unknown, bytes: number, what: string): void {
  const [step] = checkSteps(result, 1, what) as readonly (Stamp & { readonly body?: unknown })[];
  if (typeof step?.body !== 'string' || step.body.length !== bytes) throw new Error(`${what}: not ${bytes} bytes`);
}

export function checkFlat(result: unknown, n: number, what: string): FlatResult {
  const flat = result as FlatResult | undefined; // what it is, is looked at next
  if (flat?.n !== n || flat.early.length === 0 || flat.late.length !== flat.early.length)
    throw new Error(`${what}: wrong result of ${n} steps: ${JSON.stringify(result)?.slice(0, 300)}`);
  return flat;
}
