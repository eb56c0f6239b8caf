import pino from 'pino';
import type { LogFields, Logger } from '../ports/logger.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** One JSON object a line; otherwise text for people. */
  readonly json: boolean;
  readonly write: (line: string) => void;
}

/** The engine's log: a line for each event that an operator would want, of the level and above. Payloads are never in it. */
export function createLogger({ level, json, write }: LogOptions): Logger {
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
      messageKey: 'message',
    },
    { write: json ? write : (line) => write(textFrom(JSON.parse(line) as Record<string, unknown>)) },
  );
  const at =
    (name: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      log[name](fields, message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function textFrom({ time, level, message, error, ...fields }: Record<string, unknown>): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const line = [String(time).slice(11, 23), String(level).padEnd(5), message, ...rest].join(' ');
  return `${line}${error === undefined ? '' : `\n${describe(error)}`}\n`;
}

function describe(error: unknown): string {
  if (error === null || typeof error !== 'object') return `  ${String(error)}`;
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  return `  ${String(stack ?? message ?? JSON.stringify(error)).replaceAll('\n', '\n  ')}`;
}
