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
  if (store !== undefined && !/^postgres(ql)?:\/\//.test(store)) {
    throw new ValidationError(
      `--store is "${store}"; it must be a PostgreSQL URL such as postgres://user:password@localhost/ironflow. Leave it out for SQLite.`,
    );
  }
  const dataDir = given(values.data, 'IRONFLOW_DATA') ?? './.ironflow';
  return store === undefined ? { dataDir } : { dataDir, store: store as `postgres://${string}` };
}
