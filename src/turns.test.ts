import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { pause, systemTurns } from './turns.ts';

const DAY = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('systemTurns.after', () => {
  test.each([0, 1, 5_000, 24 * DAY, 25 * DAY, 366 * DAY])('calls once, after %d ms and not before', (ms) => {
    const callback = vi.fn();
    systemTurns.after(ms, callback);
    vi.advanceTimersByTime(Math.max(0, ms - 1));
    expect(callback).toHaveBeenCalledTimes(ms === 0 ? 1 : 0);
    vi.advanceTimersByTime(1);
    expect(callback).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(400 * DAY);
    expect(callback).toHaveBeenCalledTimes(1);
  });

  test.each([0, 30 * DAY])('does not call once it was cancelled after %d ms', (passed) => {
    const callback = vi.fn();
    const cancel = systemTurns.after(60 * DAY, callback);
    vi.advanceTimersByTime(passed);
    cancel();
    vi.advanceTimersByTime(400 * DAY);
    expect(callback).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('pause', () => {
  test('ends after its time, or as soon as its signal aborts, and leaves nothing behind', async () => {
    const { signal } = new AbortController();
    const whole = pause(systemTurns, 1_000, signal);
    vi.advanceTimersByTime(1_000);
    await whole;
    const stopped = new AbortController();
    const cut = pause(systemTurns, 1_000, stopped.signal);
    stopped.abort();
    await cut;
    await pause(systemTurns, 1_000, stopped.signal);
    expect(vi.getTimerCount()).toBe(0);
  });
});
