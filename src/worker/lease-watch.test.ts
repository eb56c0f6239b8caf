import { describe, expect, test } from 'vitest';
import { LeaseWatch } from './lease-watch.ts';

/** Two clocks that are moved by hand. */
function clocks() {
  const time = { now: 1_000_000, elapsed: 0 };
  const pass = (ms: number) => {
    time.now += ms;
    time.elapsed += ms;
  };
  return { time, pass, leases: new LeaseWatch({ now: () => time.now, elapsed: () => time.elapsed }) };
}

describe('lease watch', () => {
  test('is closed until a heartbeat is confirmed, and opens those that wait', async () => {
    const { leases } = clocks();
    const closed = leases.gate();
    expect(closed).toBeInstanceOf(Promise);
    leases.confirmed(leases.mark(), 30_000);
    await closed;
    expect(leases.gate()).toBeUndefined();
  });

  test('relies on two thirds of a lease, counted from when the heartbeat was sent', () => {
    const { leases, pass } = clocks();
    const sent = leases.mark();
    pass(5_000);
    leases.confirmed(sent, 30_000);
    pass(14_999);
    expect(leases.isValid).toBe(true);
    pass(1);
    expect(leases.isValid).toBe(false);
  });

  test('is not made longer by a time of day that is set back', () => {
    const { leases, pass, time } = clocks();
    leases.confirmed(leases.mark(), 30_000);
    time.now -= 3_600_000;
    pass(20_000);
    expect(leases.isValid).toBe(false);
  });

  test('counts the time in which the machine slept, and its monotonic clock stood still', () => {
    const { leases, time } = clocks();
    leases.confirmed(leases.mark(), 30_000);
    time.now += 3_600_000;
    expect(leases.isValid).toBe(false);
  });

  test('counts a lapse, also one that was over before anybody looked', () => {
    const { leases, pass } = clocks();
    leases.confirmed(leases.mark(), 30_000);
    const { lapses } = leases;
    pass(60_000);
    leases.confirmed(leases.mark(), 30_000);
    expect(leases.isValid).toBe(true);
    expect(leases.lapses).toBe(lapses + 1);
  });

  test('takes no old answer for a new one', () => {
    const { leases, pass } = clocks();
    const sent = leases.mark();
    pass(60_000);
    leases.confirmed(sent, 30_000);
    expect(leases.isValid).toBe(false);
  });
});
