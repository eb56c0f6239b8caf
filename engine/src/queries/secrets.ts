import { type SecretView, secretView } from '../kernel/secret-view.ts';
import type { Store } from '../store/port.ts';
import { secrets } from '../store/tables.ts';

/** The current secrets of an environment, by name. */
export async function listSecrets(store: Store, env: string): Promise<SecretView[]> {
  const rows = await store.scan({ table: secrets, prefix: [env], limit: Number.MAX_SAFE_INTEGER });
  return rows.flatMap(({ row }) => (row.retiredAt === null ? [secretView(row)] : []));
}
