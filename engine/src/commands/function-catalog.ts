import type { FunctionDefinition } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { type KnownFunctions, type RegisteredFunction, TriggerIndex } from '../kernel/function-definition.ts';
import { functions, functionVersions, registries } from '../store/tables.ts';

interface CachedEnvironment {
  readonly changes: number;
  readonly index: TriggerIndex;
}

/**
 * The registered functions, in memory. The current ones of an environment are guarded by its row in `registries`: a command
 * that used an outdated copy meets a conflict and runs again. A version, once made, never changes.
 */
export class FunctionCatalog implements KnownFunctions {
  readonly #environments = new Map<string, CachedEnvironment>();
  /** By environment, function and version. */
  readonly #versions = new Map<string, Map<string, Map<number, FunctionDefinition>>>();

  /** The current functions of an environment. */
  async current(tx: Transaction, env: string): Promise<TriggerIndex> {
    const registry = await tx.get(registries, [env]);
    if (registry === null) return new TriggerIndex([]);
    const cached = this.#environments.get(env);
    if (cached?.changes === registry.changes) return cached.index;
    const rows = await tx.scan({ table: functions, prefix: [env], limit: Number.MAX_SAFE_INTEGER });
    // A scan may show a change that is on its way and then fails. So each row is guarded, and the copy kept once that was checked.
    for (const { id } of rows) await tx.get(functions, [env, id]);
    const index = new TriggerIndex(
      rows
        .filter(({ status }) => status === 'active')
        .map(({ version, definition }): RegisteredFunction => ({ version, definition: JSON.parse(definition) })),
    );
    tx.afterCommit(() => this.#environments.set(env, { changes: registry.changes, index }));
    return index;
  }

  /** One version of a function; undefined when there is none. */
  async version(
    tx: Transaction,
    env: string,
    functionId: string,
    version: number,
  ): Promise<FunctionDefinition | undefined> {
    const cached = this.known(env, functionId, version);
    if (cached !== undefined) return cached;
    const [row] = await tx.scan({ table: functionVersions, prefix: [env, functionId, version], limit: 1 });
    if (row === undefined) return undefined;
    const definition = JSON.parse(row.definition) as FunctionDefinition; // as registerFunction stored it
    const byFunction = this.#versions.get(env) ?? new Map<string, Map<number, FunctionDefinition>>();
    const byVersion = byFunction.get(functionId) ?? new Map<number, FunctionDefinition>();
    this.#versions.set(env, byFunction.set(functionId, byVersion.set(version, definition)));
    return definition;
  }

  /** A version that was read before. */
  known(env: string, functionId: string, version: number): FunctionDefinition | undefined {
    return this.#versions.get(env)?.get(functionId)?.get(version);
  }

  /** Drops what is known of an environment: its functions were changed here. */
  forget(env: string): void {
    this.#environments.delete(env);
  }
}
