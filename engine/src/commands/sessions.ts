// A worker's session: registered, kept alive by heartbeats, expired when it falls silent.
//
//   alive ──silence of leaseMs──► expired, leases being released ──none left──► gone
//     ▲                                        │                                  (or at rest, where it lives inside an engine
//     └── heard of again (polls, heartbeat) ───┘                                   process that may be heard of again)
//
//   S1. A run is leased only to a session that is alive, and the commit checks the session's row.
//   S2. Leases are released only after the session is marked expired, and it stays due until none is left. So no lease is
//       given after the last look, and a crash in between leaves the rest to the next try.
//   S3. A word of a worker that was overtaken by a later one (an engine was frozen with it) neither renews nor ends a lease.

import { encodeJson, type JsonText } from '@ironflow/core';
import type { WorkerHello } from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { runs, type SessionRow, type SessionTransport, sessions } from '../store/tables.ts';
import type { CommandPorts } from './ports.ts';

export interface RegisterSessionInput {
  readonly env: string;
  readonly hello: WorkerHello;
  readonly transport: SessionTransport;
  /** Set for a session that lives inside an engine process. */
  readonly engineId: string | null;
  readonly leaseMs: number;
}

export async function registerSession(
  tx: Transaction,
  { env, hello, transport, engineId, leaseMs }: RegisterSessionInput,
  ports: CommandPorts,
): Promise<SessionRow> {
  const known = await tx.get(sessions, [hello.workerId]);
  const versions = new Map(Object.entries(hello.functionVersions));
  const functions = Object.fromEntries(hello.functionIds.map((id) => [id, versions.get(id) ?? null]));
  const json = (value: unknown): JsonText => encodeJson(value, `registration of worker ${hello.workerId}`);
  const row: SessionRow = {
    id: hello.workerId,
    env: known?.env ?? env,
    transport,
    hostname: hello.hostname,
    functions: json(functions),
    jobsMax: hello.jobsMax,
    labels: json(hello.labels),
    version: json(hello.version),
    capabilities: json(hello.capabilities),
    engineId,
    leaseMs,
    registeredAt: tx.now,
    heartbeatAt: tx.now,
    expiresAt: tx.now + leaseMs,
    expired: false,
    beat: hello.beat ?? null,
  };
  if (known === null) tx.insert(sessions, row);
  else tx.update(sessions, row);
  tx.afterCommit(() => ports.outside.sessionExpiresAt(row.id, tx.now + leaseMs));
  return row;
}

/** Which word of a worker this is, where that is known: the number of its heartbeat, or the registration that it came under. */
export interface Word {
  readonly beat?: number | undefined;
  readonly registeredAt?: number | undefined;
}

/** Renews all leases of a session. */
export async function heartbeat(
  tx: Transaction,
  sessionId: string,
  word: Word,
  ports: CommandPorts,
): Promise<'renewed' | 'overtaken' | 'unknown'> {
  const session = await tx.get(sessions, [sessionId]);
  if (session === null) return 'unknown';
  if (word.beat === session.beat && session.beat !== null) return 'overtaken'; // it was delivered twice
  if (isOvertaken(session, word)) return 'overtaken';
  const expiresAt = tx.now + session.leaseMs;
  const beat = word.beat ?? session.beat;
  tx.update(sessions, { ...session, heartbeatAt: tx.now, expiresAt, expired: false, beat });
  tx.afterCommit(() => ports.outside.sessionExpiresAt(sessionId, expiresAt));
  return 'renewed';
}

/** Whether a session is gone, or its worker has been heard with a later word. */
export async function isOutdated(tx: Transaction, sessionId: string, word: Word): Promise<boolean> {
  const session = await tx.get(sessions, [sessionId]);
  return session === null || isOvertaken(session, word);
}

/** Whether the worker has been heard with a later word (S3). */
function isOvertaken({ beat, registeredAt }: SessionRow, word: Word): boolean {
  if (word.registeredAt !== undefined && word.registeredAt !== registeredAt) return true;
  return word.beat !== undefined && beat !== null && word.beat < beat;
}

/**
 * Lets a session expire at `at` unless it is heard of before: its connection broke, or its engine process is gone.
 * @param lostAt - When the connection broke: a worker that was heard of since, here or elsewhere, relies on its lease.
 */
export async function shortenSession(
  tx: Transaction,
  { sessionId, at, lostAt }: { readonly sessionId: string; readonly at: number; readonly lostAt?: number },
  ports: CommandPorts,
): Promise<void> {
  const session = await tx.get(sessions, [sessionId]);
  if (session !== null && lostAt !== undefined && session.heartbeatAt > lostAt) return;
  if (session === null || session.expired || session.expiresAt === null || session.expiresAt <= at) return;
  tx.update(sessions, { ...session, expiresAt: at });
  tx.afterCommit(() => ports.outside.sessionExpiresAt(sessionId, at));
}

/** Puts off an expiry that the engine's own absence may have caused. */
export async function extendSession(
  tx: Transaction,
  { sessionId, at }: { readonly sessionId: string; readonly at: number },
  ports: CommandPorts,
): Promise<void> {
  const session = await tx.get(sessions, [sessionId]);
  if (session === null || session.expired || session.expiresAt === null || session.expiresAt >= at) return;
  tx.update(sessions, { ...session, expiresAt: at });
  tx.afterCommit(() => ports.outside.sessionExpiresAt(sessionId, at));
}

/** Whether a session can be given a lease (S1). */
export async function isSessionAlive(tx: Transaction, sessionId: string): Promise<boolean> {
  const session = await tx.get(sessions, [sessionId]);
  return session !== null && !session.expired;
}

/** Gives a session up for good: its worker said good-bye, or its engine process is gone. */
export async function endSession(tx: Transaction, sessionId: string, ports: CommandPorts): Promise<void> {
  const session = await tx.get(sessions, [sessionId]);
  if (session === null) return;
  if (session.expired && session.expiresAt === null) {
    tx.delete(sessions, [sessionId]);
    return;
  }
  // Expired at once: were this engine to stop before its leases are released, the next one would not wait for a worker that has left.
  const expiresAt = Math.min(session.expiresAt ?? tx.now, tx.now);
  tx.update(sessions, { ...session, engineId: null, expiresAt, expired: true });
  tx.afterCommit(() => ports.outside.sessionExpiresAt(sessionId, tx.now));
}

/** Marks a session expired whose time is over. True when its leases are to be released. */
export async function expireSession(tx: Transaction, sessionId: string): Promise<boolean> {
  const session = await tx.get(sessions, [sessionId]);
  if (session === null || session.expiresAt === null || session.expiresAt > tx.now) return false;
  if (!session.expired) tx.update(sessions, { ...session, expired: true });
  return true;
}

/** Removes an expired session, once nothing is leased to it; its worker registers anew if it comes back. True when nothing is left to do. */
export async function finishExpiry(tx: Transaction, sessionId: string): Promise<boolean> {
  const session = await tx.get(sessions, [sessionId]);
  if (session === null || !session.expired || session.expiresAt === null) return true;
  const leased = await tx.scan({ table: runs, index: 'bySession', prefix: [sessionId], limit: 1 });
  if (leased.length > 0) return false;
  if (session.engineId === null) tx.delete(sessions, [sessionId]);
  else tx.update(sessions, { ...session, expiresAt: null });
  return true;
}
