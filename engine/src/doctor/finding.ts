import type { CommandPorts } from '../commands/ports.ts';
import type { Transaction } from '../group-commit/index.ts';
import type { Key, Table } from '../store/table.ts';

/** Something in the store that no command would have left there. */
export interface Finding {
  /** Which check found it; stable, for scripts. */
  readonly check: string;
  /** The rows it is about: table and key. */
  readonly rows: readonly string[];
  /** What is wrong, and what follows from it. */
  readonly message: string;
  /** What a repair does; undefined where nothing safe can be done. */
  readonly repair?: string;
  /** Does it. It looks again first: what has changed since is left alone. */
  readonly apply?: (tx: Transaction, ports: CommandPorts) => Promise<void>;
}

export const rowName = (table: Table, key: Key) =>
  `${table.name} ${key.map((part) => JSON.stringify(part)).join(', ')}`;

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
