/**
 * What of a type survives JSON: the type that a step's result has, the first time as well as on every replay.
 * A `Date` comes back as its text, a method does not come back, `undefined` in an array comes back as `null`.
 */
export type JsonOf<T> =
  // `any` and `unknown` stay what they are: nothing is known of them.
  0 extends 1 & T
    ? T
    : unknown extends T
      ? T
      : // biome-ignore lint/suspicious/noConfusingVoidType: what a body without a return statement has
        T extends undefined | void
        ? undefined
        : T extends string | number | boolean | null
          ? T
          : T extends bigint | symbol | ((...args: never[]) => unknown)
            ? never
            : T extends { toJSON(): infer J }
              ? JsonOf<J>
              : T extends readonly unknown[]
                ? { [K in keyof T]: JsonOfElement<T[K]> }
                : T extends Map<unknown, unknown> | Set<unknown> | WeakMap<object, unknown> | WeakSet<object>
                  ? Record<string, never>
                  : T extends object
                    ? JsonOfObject<T>
                    : never;

/**
 * The type of a step's whole result. One that is `undefined` is stored as JSON's `null`, and comes back as that: who asks whether
 * something was found must ask for `null`. A body that never gives anything back keeps its type: nobody looks at what it gave.
 */
export type ResultOf<T> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? T
    : [T] extends [never]
      ? never
      : // biome-ignore lint/suspicious/noConfusingVoidType: what a body without a return statement has
        [T] extends [undefined | void]
        ? undefined
        : JsonOfElement<T>;

type JsonOfElement<T> = T extends undefined ? null : JsonOf<T>;

type JsonOfObject<T extends object> = {
  [K in keyof T as K extends symbol ? never : T[K] extends (...args: never[]) => unknown ? never : K]: JsonOf<T[K]>;
};
