import { type JobEvent, payloadValue } from '@ironflow/core/wire';
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

/** An event as paths and expressions see it. */
export function matchable(event: JobEvent): unknown {
  return {
    id: event.id,
    name: event.name,
    version: event.version,
    data: payloadValue(event.data),
    ...(event.metadata && { metadata: payloadValue(event.metadata) }),
    ...(event.source !== undefined && { source: event.source }),
  };
}
