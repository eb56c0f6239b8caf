import type { SecretRow } from '../store/tables.ts';

/** A secret as it is shown: all but its value. */
export interface SecretView {
  readonly name: string;
  readonly revision: number;
  readonly key_id: string;
  readonly updated_at: string;
}

export const secretView = ({ name, number, keyId, createdAt }: SecretRow): SecretView => ({
  name,
  revision: number,
  key_id: keyId,
  updated_at: new Date(createdAt).toISOString(),
});
