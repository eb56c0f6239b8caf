/** An environment variable, where the platform has them; the empty string counts as unset. */
export function variable(name: string): string | undefined {
  const value = globalThis.process?.env?.[name];
  return value === '' ? undefined : value;
}

/**
 * The engine's address: the one given, else `IRONFLOW_SERVER_URL`, else the local engine. Without a slash at its end. The empty
 * string counts as none.
 */
export function serverUrlFrom(given: string | undefined): string {
  return (given || (variable('IRONFLOW_SERVER_URL') ?? 'http://localhost:9123')).replace(/\/+$/, '');
}
