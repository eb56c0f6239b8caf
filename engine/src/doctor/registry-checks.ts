// What must hold of functions, their versions, and sessions.

import { pages } from '../store/pages.ts';
import type { Store } from '../store/port.ts';
import { functions, functionVersions, registries, runs, secrets, sessions } from '../store/tables.ts';
import { type Finding, rowName } from './finding.ts';

const LATE_MS = 60_000;

export async function* examineRegistry(store: Store, now: number): AsyncGenerator<Finding> {
  yield* examineFunctions(store);
  yield* examineVersionsOfRuns(store);
  yield* examineSessions(store, now);
  yield* examineSecrets(store);
}

async function* examineFunctions(store: Store): AsyncGenerator<Finding> {
  for await (const page of pages(store, functions)) {
    const versions = await store.get(
      functionVersions,
      page.map(({ env, id, version }) => [env, id, version]),
    );
    const known = await store.get(
      registries,
      page.map(({ env }) => [env]),
    );
    for (const [i, row] of page.entries()) {
      const { env, id, version } = row;
      if (!versions[i]) {
        yield {
          check: 'version-missing',
          rows: [rowName(functions, [env, id])],
          message: `Its version ${version} is not stored: runs of it cannot be leased.`,
          repair: 'store the version from the function as it is',
          apply: async (tx) => {
            const current = await tx.get(functions, [env, id]);
            if (current === null || current.version !== version) return;
            if ((await tx.get(functionVersions, [env, id, version])) !== null) return;
            const { definition, hash, updatedAt } = current;
            tx.insert(functionVersions, { env, functionId: id, version, definition, hash, createdAt: updatedAt });
          },
        };
      }
      if (!known[i]) {
        yield {
          check: 'environment-missing',
          rows: [rowName(functions, [env, id])],
          message: `Environment "${env}" is not stored: no event of it would start this function.`,
          repair: 'store the environment',
          apply: async (tx) => {
            if ((await tx.get(registries, [env])) === null) tx.insert(registries, { env, changes: 1 });
          },
        };
      }
    }
  }
}

/** Runs that no worker can be given, for nobody knows their function's version. Found by the queue's index. */
async function* examineVersionsOfRuns(store: Store): AsyncGenerator<Finding> {
  const seen = new Set<string>();
  for await (const page of pages(store, runs)) {
    for (const { env, functionId, functionVersion, endedAt } of page) {
      const name = JSON.stringify([env, functionId, functionVersion]);
      if (endedAt !== null || seen.has(name)) continue;
      seen.add(name);
      const [version] = await store.get(functionVersions, [[env, functionId, functionVersion]]);
      const [current] = await store.get(functions, [[env, functionId]]);
      // Its function's own row tells of the newest version (check version-missing).
      if (version || current?.row.version === functionVersion) continue;
      yield {
        check: 'version-of-run-missing',
        rows: [rowName(functionVersions, [env, functionId, functionVersion])],
        message: `Runs of version ${functionVersion} of "${functionId}" have not ended, and that version is not stored. Cancel them, or restore it from a backup.`,
      };
    }
  }
}

async function* examineSessions(store: Store, now: number): AsyncGenerator<Finding> {
  for await (const page of pages(store, sessions)) {
    for (const { id, expired, expiresAt, leaseMs } of page) {
      const rows = [rowName(sessions, [id])];
      if (!expired && expiresAt === null) {
        yield {
          check: 'session-without-end',
          rows,
          message: 'It would never expire: what is leased to it would stay so if its worker died.',
          repair: 'let it expire unless it is heard of',
          apply: async (tx, ports) => {
            const row = await tx.get(sessions, [id]);
            if (row === null || row.expired || row.expiresAt !== null) return;
            tx.update(sessions, { ...row, expiresAt: tx.now + leaseMs });
            tx.afterCommit(() => ports.outside.sessionExpiresAt(id, tx.now + leaseMs));
          },
        };
      }
      if (expiresAt !== null && expiresAt < now - LATE_MS) {
        yield {
          check: 'overdue-expiry',
          rows,
          message: `It should have expired ${Math.round((now - expiresAt) / 1_000)} s ago. Is an engine running, and is its clock right?`,
        };
      }
    }
  }
}

/** Values that a secret had before are retired: the highest number alone may be current. */
async function* examineSecrets(store: Store): AsyncGenerator<Finding> {
  for await (const page of pages(store, secrets)) {
    for (const { env, name, number, retiredAt } of page) {
      if (retiredAt !== null) continue;
      const [later] = await store.scan({ table: secrets, prefix: [env, name], after: [number], limit: 1 });
      if (later === undefined) continue;
      yield {
        check: 'secret-not-retired',
        rows: [rowName(secrets, [env, name, number])],
        message: 'There is a newer value of this secret: functions would be given one or the other.',
        repair: 'retire the older value',
        apply: async (tx) => {
          const row = await tx.get(secrets, [env, name, number]);
          if (row !== null && row.retiredAt === null) tx.update(secrets, { ...row, retiredAt: tx.now });
        },
      };
    }
  }
}
