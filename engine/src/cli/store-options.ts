import { ValidationError } from '@ironflow/core';
import type { StoreOptions } from '../main.ts';
import type { Program } from './program.ts';

/** Options that say which store a command works on. */
export const storeHelp = `  --store <url>           PostgreSQL, as postgres://user:password@host/database. Default: SQLite, or IRONFLOW_STORE.
  --data <directory>      Where the SQLite database lives. Default ./.ironflow, or IRONFLOW_DATA.`;

/** @throws {ValidationError} for a URL of another kind. */
export function storeOptionsFrom(
  values: { readonly store?: string | undefined; readonly data?: string | undefined },
  { env }: Pick<Program, 'env'>,
): StoreOptions & { readonly dataDir: string } {
  const given = (value: string | undefined, name: string) => value ?? (env[name] === '' ? undefined : env[name]);
  const store = given(values.store, 'IRONFLOW_STORE');
  if (store !== undefined) assertPostgresUrl('--store', store);
  const dataDir = given(values.data, 'IRONFLOW_DATA') ?? './.ironflow';
  return store === undefined ? { dataDir } : { dataDir, store };
}

/** @throws {ValidationError} for a URL of another kind. */
export function assertPostgresUrl(option: string, url: string): asserts url is `postgres://${string}` {
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return;
  throw new ValidationError(
    `${option} is "${url}"; it must be a PostgreSQL URL such as postgres://user:password@localhost/ironflow.`,
  );
}
