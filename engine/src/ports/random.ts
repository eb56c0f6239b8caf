/** A number from 0 up to, but not including, 1. Whatever the engine leaves to chance comes from here. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();
