// Secrets: named values of an environment, sealed at rest.
//   S1. A value leaves the store only with a job of a function that declares its name.
//   S2. What a report of such a function would store is redacted first: of the current values of what it declares, and of those
//       that were current before, for as long as they are kept.
//   S3. Functions that declare no secrets pay nothing: their definition, which is in memory, says so.

import type { Redactor } from '@ironflow/core';
import type { Transaction } from '../group-commit/index.ts';
import { type SecretView, secretView } from '../kernel/secret-view.ts';
import { type RunRow, type SecretRow, secrets } from '../store/tables.ts';
import type { Operation } from './audit.ts';
import type { CommandPorts } from './ports.ts';
import { noKey, placeOf } from './secret-vault.ts';

/** How long a value is kept after it was replaced or removed, so that what still has it in memory does not store it. */
export const retiredSecretMs = 30 * 86_400_000;

/** Gives a secret a value, its first or another one. @throws {IronflowError} NOT_CONFIGURED without a key. */
export async function setSecret(
  tx: Transaction,
  { env, name, value }: { readonly env: string; readonly name: string; readonly value: string },
  ports: CommandPorts,
): Promise<{ readonly secret: SecretView; readonly created: boolean }> {
  const { box } = ports.secrets;
  if (box.keyId === undefined) throw noKey();
  const last = await lastRevision(tx, env, name);
  const created = last === undefined || last.retiredAt !== null;
  const number = (last?.number ?? 0) + 1;
  const row: SecretRow = {
    ...{ env, name, number },
    ...box.seal(value, placeOf({ env, name, number })),
    createdAt: tx.now,
    retiredAt: null,
  };
  if (last !== undefined && last.retiredAt === null) retire(tx, last, ports);
  tx.insert(secrets, row);
  return { secret: secretView(row), created };
}

/** @returns false when there is no such secret. */
export async function removeSecret(
  tx: Transaction,
  { env, name }: { readonly env: string; readonly name: string },
  ports: CommandPorts,
): Promise<boolean> {
  const last = await lastRevision(tx, env, name);
  if (last === undefined || last.retiredAt !== null) return false;
  retire(tx, last, ports);
  return true;
}

function retire(tx: Transaction, row: SecretRow, ports: CommandPorts): void {
  tx.update(secrets, { ...row, retiredAt: tx.now });
  tx.afterCommit(() => ports.outside.keyExpiresAt(tx.now + retiredSecretMs));
}

/** The newest revision, guarded: whoever makes the next one meets a conflict with whoever else does. */
async function lastRevision(tx: Transaction, env: string, name: string): Promise<SecretRow | undefined> {
  const [found] = await tx.scan({ table: secrets, prefix: [env, name], limit: 1, direction: 'backward' });
  return found === undefined ? undefined : ((await tx.get(secrets, [env, name, found.number])) ?? undefined);
}

/** Seals a revision anew with the first key, if it is under another one. */
export async function resealSecret(
  tx: Transaction,
  { env, name, number }: { readonly env: string; readonly name: string; readonly number: number },
  ports: CommandPorts,
): Promise<void> {
  const row = await tx.get(secrets, [env, name, number]);
  const { box } = ports.secrets;
  if (row === null || row.keyId === box.keyId || !box.has(row.keyId)) return;
  const place = placeOf(row);
  tx.update(secrets, { ...row, ...box.seal(box.open(row, place), place) });
}

/** What a job of this run is given: the declared secrets that there are. Undefined when the function declares none. */
export async function secretsOf(
  tx: Transaction,
  run: RunRow,
  ports: CommandPorts,
): Promise<Readonly<Record<string, string>> | undefined> {
  const declared = await declaredSecrets(tx, run, ports);
  if (declared === undefined) return undefined;
  const entries: [string, string][] = [];
  for (const name of declared) {
    for (const row of await revisionsOf(tx, run.env, name))
      if (row.retiredAt === null) entries.push([name, ports.secrets.valueOf(row)]);
  }
  return Object.fromEntries(entries);
}

/** What redacts what a function of this run hands in. Undefined when it declares no secrets, or none of them was ever set. */
export async function redactorOf(tx: Transaction, run: RunRow, ports: CommandPorts): Promise<Redactor | undefined> {
  const declared = await declaredSecrets(tx, run, ports);
  if (declared === undefined) return undefined;
  const rows: SecretRow[] = [];
  for (const name of declared) rows.push(...(await revisionsOf(tx, run.env, name)));
  return ports.secrets.redactorOf(rows);
}

/** What redacts what somebody says of a run of such a function, or gives it; it leaves everything as it is for other functions. */
export async function operatorRedactor(
  tx: Transaction,
  run: RunRow,
  ports: CommandPorts,
): Promise<Pick<Redactor, 'text' | 'json'>> {
  return (declaresNone(run, ports) ? undefined : await redactorOf(tx, run, ports)) ?? leavesAll;
}

/** Who does something and why, as it may be kept. */
export async function redactedOperation(
  tx: Transaction,
  run: RunRow,
  { actor, reason }: Operation,
  ports: CommandPorts,
): Promise<Operation> {
  const redactor = await operatorRedactor(tx, run, ports);
  return { actor: redactor.text(actor), reason: redactor.text(reason) };
}

const leavesAll: Pick<Redactor, 'text' | 'json'> = { text: (text) => text, json: (text) => text };

/** Whether it is known, without a look at the store, that the run's function declares no secrets. */
export function declaresNone({ env, functionId, functionVersion }: RunRow, { functions }: CommandPorts): boolean {
  const definition = functions.known(env, functionId, functionVersion);
  return definition !== undefined && definition.secrets === undefined;
}

async function declaredSecrets(tx: Transaction, run: RunRow, ports: CommandPorts): Promise<Set<string> | undefined> {
  const definition = await ports.functions.version(tx, run.env, run.functionId, run.functionVersion);
  return definition?.secrets === undefined ? undefined : new Set(definition.secrets);
}

const revisionsOf = (tx: Transaction, env: string, name: string) =>
  tx.scan({ table: secrets, prefix: [env, name], limit: Number.MAX_SAFE_INTEGER });
