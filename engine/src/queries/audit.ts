import { decodeJson, type Json, limits } from '@ironflow/core';
import { timeText } from '../ports/ids.ts';
import type { Store } from '../store/port.ts';
import { type RunAuditRow, runAudit } from '../store/tables.ts';
import { cursorFrom, cursorOf } from './cursor.ts';

/** One entry of a run's audit trail. */
export interface AuditEntryView {
  readonly id: string;
  readonly runId: string;
  readonly functionId: string;
  readonly stepId?: string;
  /** What happened, for example `run.paused`. */
  readonly eventType: string;
  /** Who did it; absent where the run itself did. */
  readonly actor?: string;
  readonly reason?: string;
  readonly payload?: Json;
  readonly createdAt: string;
}

export interface ListAuditOptions {
  readonly runId?: string | undefined;
  readonly eventType?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface AuditPage {
  readonly entries: readonly AuditEntryView[];
  readonly nextCursor?: string;
  readonly totalCount: number;
}

/** The audit trail of a run, or of a whole environment, oldest first. */
export async function listAudit(store: Store, env: string, options: ListAuditOptions): Promise<AuditPage> {
  const { runId, eventType, since, until } = options;
  const limit = Math.min(options.limit ?? limits.pageSizeDefault, limits.pageSizeMax);
  const range = {
    table: runAudit,
    ...(runId === undefined ? { index: 'byEnv', prefix: [env] } : { prefix: [runId] }),
    where: { env, ...(eventType !== undefined && { type: eventType }) },
    ...(since !== undefined && { from: [`aud_${timeText(since)}`] }),
    ...(until !== undefined && { before: [`aud_${timeText(until + 1)}`] }),
  };
  const after = options.cursor === undefined ? {} : { after: [cursorFrom(options.cursor, 'aud')] };
  const [found, totalCount] = await Promise.all([
    store.scan({ ...range, ...after, limit: limit + 1 }),
    store.count({ ...range, limit: Number.MAX_SAFE_INTEGER }),
  ]);
  const shown = found.slice(0, limit).map(({ row }) => row);
  const last = shown.at(-1);
  return {
    entries: shown.map(auditEntryView),
    ...(found.length > limit && last !== undefined && { nextCursor: cursorOf(last.id) }),
    totalCount,
  };
}

function auditEntryView(row: RunAuditRow): AuditEntryView {
  return {
    id: row.id,
    runId: row.runId,
    functionId: row.functionId,
    ...(row.stepId !== null && { stepId: row.stepId }),
    eventType: row.type,
    ...(row.actor !== null && { actor: row.actor }),
    ...(row.reason !== null && { reason: row.reason }),
    ...(row.payload !== null && { payload: decodeJson(row.payload) }),
    createdAt: new Date(row.createdAt).toISOString(),
  };
}
