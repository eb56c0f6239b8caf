import type { JobEvent } from '@ironflow/core/wire';
import type { EventRow } from '../store/tables.ts';

export function jobEventFrom(row: EventRow): JobEvent {
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    data: { text: row.data },
    timestamp: row.createdAt,
    ...(row.source !== null && { source: row.source }),
    ...(row.metadata !== null && { metadata: { text: row.metadata } }),
  };
}
