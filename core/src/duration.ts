import { ValidationError } from './errors.ts';

/** Milliseconds, or text: a decimal number and one unit of `ms`, `s`, `m`, `h`, `d` (`"90s"`, `"1.5h"`). */
export type Duration = number | string;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION_TEXT = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/;

/** The longest duration accepted anywhere: 366 days, in milliseconds. */
export const durationMsMax = 366 * 86_400_000;

/**
 * Reads a duration as whole milliseconds.
 * @param what - Names the value in the error, for example `timeout of step "pay"`.
 * @throws {ValidationError} when it is not a duration, not positive, or longer than 366 days.
 * @example parseDuration('1.5h') // 5400000
 */
export function parseDuration(duration: Duration, what = 'duration'): number {
  const ms = typeof duration === 'number' ? duration : msFromText(duration);
  const shown = typeof duration === 'string' ? JSON.stringify(duration) : String(duration);
  if (ms === undefined || Number.isNaN(ms) || ms <= 0) {
    throw new ValidationError(
      `${what} is ${shown}, which is not a positive duration. ` +
        'Use milliseconds as a number, or text such as "500ms", "30s", "5m", "1h" or "7d".',
    );
  }
  if (ms > durationMsMax) throw new ValidationError(`${what} is ${shown}, longer than the 366 days allowed.`);
  return Math.ceil(ms);
}

function msFromText(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? DURATION_TEXT.exec(text.trim()) : null;
  const unitMs = parts?.[2] === undefined ? undefined : UNIT_MS[parts[2]];
  return parts === null || unitMs === undefined ? undefined : Number(parts[1]) * unitMs;
}
