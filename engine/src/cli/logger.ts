import type { LogFields, Logger } from '../ports/logger.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** One JSON object a line, in place of text for people. */
  readonly json: boolean;
  readonly write: (line: string) => void;
  readonly now: () => number;
}

/** Writes a line for each message of the level and above. */
export function createLogger({ level, json, write, now }: LogOptions): Logger {
  const from = logLevels.indexOf(level);
  const log =
    (at: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(at) < from) return;
      const time = new Date(now()).toISOString();
      write(json ? jsonLine(time, at, message, fields) : textLine(time, at, message, fields));
    };
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
}

function jsonLine(time: string, level: LogLevel, message: string, fields: LogFields): string {
  const plain = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plainFrom(value)]));
  return `${JSON.stringify({ time, level, message, ...plain })}\n`;
}

function textLine(time: string, level: LogLevel, message: string, fields: LogFields): string {
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${value instanceof Error ? value.stack : JSON.stringify(value)}`,
  );
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${[message, ...rest].join(' ')}\n`;
}

function plainFrom(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const code = 'code' in value ? value.code : undefined;
  return { name: value.name, message: value.message, code, stack: value.stack };
}
