import { createHash } from 'node:crypto';
import { canonicalJson, encodeJson } from '@ironflow/core';
import type { FunctionDefinition } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { assertExpressions } from '../kernel/function-definition.ts';
import { functions, functionVersions, registries } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';

export interface RegisterFunctionInput {
  readonly env: string;
  readonly definition: FunctionDefinition;
}

export interface RegisterFunctionResult {
  readonly definition: FunctionDefinition;
  readonly version: number;
  /** Whether the id is new. */
  readonly created: boolean;
  /** Whether this call changed what is current. */
  readonly changed: boolean;
  /** Whether this definition was not there before. */
  readonly isNewVersion: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/**
 * Registers a function. The same definition and code again changes nothing; another one makes a new version, and one that
 * was there before (a roll-back) becomes current again under its old number.
 * @throws {ValidationError} when the expression of a trigger cannot be used.
 */
export async function registerFunction(
  tx: Transaction,
  { env, definition }: RegisterFunctionInput,
  ports: CommandPorts,
): Promise<RegisterFunctionResult> {
  assertExpressions(definition);
  const hash = createHash('sha256').update(canonicalJson(definition)).digest('hex').slice(0, 32);
  const current = await tx.get(functions, [env, definition.id]);
  if (current !== null && current.hash === hash && current.status === 'active') {
    const { version, createdAt, updatedAt } = current;
    return { definition, version, created: false, changed: false, isNewVersion: false, createdAt, updatedAt };
  }

  const { version, isNewVersion } = await versionFor(tx, env, definition, hash);
  const row = {
    env,
    id: definition.id,
    version,
    definition: encodeJson(definition, `definition of function "${definition.id}"`),
    hash,
    mode: definition.mode,
    status: 'active' as const,
    createdAt: current?.createdAt ?? tx.now,
    updatedAt: tx.now,
  };
  if (current === null) tx.insert(functions, row);
  else tx.update(functions, row);
  await noteChange(tx, env);
  tx.afterCommit(() => {
    ports.functions.forget(env);
    ports.outside.functionsChanged(env);
  });
  const { createdAt, updatedAt } = row;
  return { definition, version, created: current === null, changed: true, isNewVersion, createdAt, updatedAt };
}

async function versionFor(
  tx: Transaction,
  env: string,
  definition: FunctionDefinition,
  hash: string,
): Promise<{ readonly version: number; readonly isNewVersion: boolean }> {
  const { id: functionId } = definition;
  const [known] = await tx.scan({
    table: functionVersions,
    index: 'byHash',
    prefix: [env, functionId, hash],
    limit: 1,
  });
  if (known !== undefined) return { version: known.version, isNewVersion: false };
  const [newest] = await tx.scan({
    table: functionVersions,
    prefix: [env, functionId],
    limit: 1,
    direction: 'backward',
  });
  const version = (newest?.version ?? 0) + 1;
  tx.insert(functionVersions, {
    env,
    functionId,
    version,
    definition: encodeJson(definition, `definition of function "${functionId}"`),
    hash,
    createdAt: tx.now,
  });
  return { version, isNewVersion: true };
}

async function noteChange(tx: Transaction, env: string): Promise<void> {
  const registry = await tx.get(registries, [env]);
  if (registry === null) tx.insert(registries, { env, changes: 1 });
  else tx.update(registries, { env, changes: registry.changes + 1 });
}
