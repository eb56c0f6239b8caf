import { afterAll, afterEach, beforeAll, expect } from 'vitest';

/** Every test around here fails when it leaves a rejection that nobody handled. */
export function expectNoRejections(): void {
  let rejections: ReturnType<typeof watchRejections>;
  beforeAll(() => {
    rejections = watchRejections();
  });
  afterEach(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections.take()).toEqual([]);
  });
  afterAll(() => rejections.stop());
}

/** Every rejection that nobody handled, as the process would be told of it. */
export function watchRejections(): { take(): unknown[]; stop(): void } {
  const seen: unknown[] = [];
  const listener = (reason: unknown) => seen.push(reason);
  process.on('unhandledRejection', listener);
  return { take: () => seen.splice(0), stop: () => void process.off('unhandledRejection', listener) };
}
