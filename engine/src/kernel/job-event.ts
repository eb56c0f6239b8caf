import type { JsonText } from '@ironflow/core';
import { type JobEvent, payloadValue } from '@ironflow/core/wire';
import type { EventRow, RunRow } from '../store/tables.ts';

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

/** Whether the event of a run is in the log: it is not where another run called it. A rerun may be of either. */
export function mayHaveStoredEvent({ input, rerunOf }: RunRow): boolean {
  return input === null || rerunOf !== null;
}

/** The event that a run's function is given; undefined when it should be in the log and is not. */
export function eventOfRun(run: RunRow, stored: EventRow | undefined): JobEvent | undefined {
  if (run.input === null) return stored && jobEventFrom(stored);
  return eventWithInput(run, run.input, stored);
}

/** The same with what is given in place of its data. */
export function eventWithInput(run: RunRow, input: JsonText, stored: EventRow | undefined): JobEvent {
  const data = { text: input };
  if (stored !== undefined) return { ...jobEventFrom(stored), data };
  return { id: run.eventId, name: run.eventName, version: 1, data, timestamp: run.createdAt, source: 'invoke' };
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
