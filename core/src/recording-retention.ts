import { ValidationError } from './errors.ts';

const DAY_MS = 86_400_000;
/** A year counts 366 days, so that nothing that is to be kept for seven years leaves before the seventh is over. */
const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: DAY_MS,
  w: 7 * DAY_MS,
  y: 366 * DAY_MS,
};
const RETENTION_TEXT = /^(\d+(?:\.\d+)?)\s*([smhdwy])$/;
const YEARS_MAX = 100;

/** How long the entries of a recorded function are kept when it does not say. */
export const recordingRetentionDefault = '90d';

/**
 * How long the entries of a recorded function are kept, in milliseconds; infinity for `forever`.
 * @param retention - A number and one unit of `s`, `m`, `h`, `d`, `w`, `y` (`"30d"`, `"7y"`), at most 100 years; or `forever`.
 *   Default: `90d`.
 * @param functionId - Named in the error.
 * @throws {ValidationError} for anything else.
 * @example parseRecordingRetention('30d') // 2592000000
 */
export function parseRecordingRetention(retention: string = recordingRetentionDefault, functionId?: string): number {
  if (retention === 'forever') return Number.POSITIVE_INFINITY;
  const [, count, unit] = RETENTION_TEXT.exec(retention.trim()) ?? [];
  const ms = Math.ceil(Number(count) * (UNIT_MS[unit ?? ''] ?? Number.NaN));
  if (ms > 0 && ms <= YEARS_MAX * 366 * DAY_MS) return ms;
  const whose = functionId === undefined ? 'recordingRetention' : `recordingRetention of function "${functionId}"`;
  throw new ValidationError(
    `${whose} is ${JSON.stringify(retention)}. Use a time such as "7d", "30d", "90d" or "7y", at most ${YEARS_MAX} years, or "forever".`,
    { validationErrors: [{ path: 'recordingRetention', message: 'must be a time such as "30d", or "forever"' }] },
  );
}
