/** Where the SDK writes. `console` is one. */
export interface Logger {
  debug(message: string, ...args: unknown[]): void;
  info(message: string, ...args: unknown[]): void;
  warn(message: string, ...args: unknown[]): void;
  error(message: string, ...args: unknown[]): void;
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** The logger to use: the one given, none for `false`, else the console from `IRONFLOW_LOG_LEVEL` (default `info`) up. */
export function loggerFrom(logger: Logger | false | undefined): Logger {
  if (logger === false) return silent;
  if (logger !== undefined) return logger;
  const wanted = (globalThis.process?.env?.['IRONFLOW_LOG_LEVEL'] ?? '').toLowerCase();
  const from = (LEVELS as readonly string[]).indexOf(wanted);
  const chosen = { ...silent };
  for (const level of LEVELS.slice(from < 0 ? LEVELS.indexOf('info') : from))
    chosen[level] = (message, ...args) => console[level](`[ironflow] ${message}`, ...args);
  return chosen;
}
