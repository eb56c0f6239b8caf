import type { FunctionDefinition } from '@ironflow/core/wire';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../store/port.ts';
import { functions, runs, sessions } from '../store/tables.ts';

const ALL = Number.MAX_SAFE_INTEGER;

export interface FunctionView extends Omit<FunctionDefinition, 'mode'> {
  readonly preferredMode: 'push' | 'pull';
  readonly status: 'active' | 'paused' | 'archived';
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export function functionView(row: {
  readonly definition: FunctionDefinition;
  readonly version: number;
  readonly status: FunctionView['status'];
  readonly createdAt: number;
  readonly updatedAt: number;
}): FunctionView {
  const { mode, ...definition } = row.definition;
  return {
    ...definition,
    preferredMode: mode,
    status: row.status,
    version: row.version,
    createdAt: new Date(row.createdAt).toISOString(),
    updatedAt: new Date(row.updatedAt).toISOString(),
  };
}

export async function listFunctions(store: Store, env: string): Promise<FunctionView[]> {
  const rows = await store.scan({ table: functions, prefix: [env], limit: ALL });
  return rows.map(({ row }) => functionView({ ...row, definition: JSON.parse(row.definition) as FunctionDefinition }));
}

/** A worker as clients see it; the names are the contract's. */
export interface WorkerView {
  readonly id: string;
  readonly hostname: string;
  readonly function_ids: readonly string[];
  readonly max_concurrent: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly active_jobs: number;
  readonly registered_at: string;
  readonly last_heartbeat: string;
  readonly transport: string;
}

/** Workers whose leases have not ended. */
export async function listWorkers(store: Store, env: string, clock: Clock): Promise<WorkerView[]> {
  const rows = await store.scan({ table: sessions, index: 'byEnv', prefix: [env], limit: ALL });
  const alive = rows
    .map(({ row }) => row)
    .filter(({ expired, expiresAt }) => !expired && expiresAt !== null && expiresAt > clock.now());
  return Promise.all(
    alive.map(async (session) => ({
      id: session.id,
      hostname: session.hostname,
      function_ids: Object.keys(JSON.parse(session.functions) as object),
      max_concurrent: session.jobsMax,
      labels: JSON.parse(session.labels) as Record<string, string>,
      active_jobs: await store.count({ table: runs, index: 'bySession', prefix: [session.id], limit: 100_000 }),
      registered_at: new Date(session.registeredAt).toISOString(),
      last_heartbeat: new Date(session.heartbeatAt).toISOString(),
      transport: session.transport,
    })),
  );
}
