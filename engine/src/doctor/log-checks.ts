// What must hold of logs and of those who read them.

import { pages } from '../store/pages.ts';
import type { Store } from '../store/port.ts';
import { cursors, events, registries } from '../store/tables.ts';
import { type Finding, isJson, rowName } from './finding.ts';

export async function* examineLogs(store: Store): AsyncGenerator<Finding> {
  const environments = await store.scan({ table: registries, limit: Number.MAX_SAFE_INTEGER });
  for (const { row } of environments) yield* examineEvents(store, row.env);
  for await (const page of pages(store, cursors)) {
    for (const { env, name, position } of page) {
      const head = await store.head(events, [env]);
      if (position <= head) continue;
      yield {
        check: 'cursor-beyond-log',
        rows: [rowName(cursors, [env, name])],
        message: `It has come to position ${position}, and the log ends at ${head}: events to come would be passed over after a crash.`,
        repair: 'put it back to the end of the log',
        apply: async (tx) => {
          const cursor = await tx.get(cursors, [env, name]);
          if (cursor !== null && cursor.position > head) tx.update(cursors, { ...cursor, position: head });
        },
      };
    }
  }
}

async function* examineEvents(store: Store, env: string): AsyncGenerator<Finding> {
  let last: number | undefined;
  for await (const page of pages(store, events, [env])) {
    for (const { position, data, id } of page) {
      if (last !== undefined && position !== last + 1) {
        yield {
          check: 'gap-in-log',
          rows: [rowName(events, [env, last]), rowName(events, [env, position])],
          message: `Between positions ${last} and ${position} ${position - last - 1} events are missing. They cannot be brought back; a backup may have them.`,
        };
      }
      last = position;
      if (!isJson(data)) {
        yield {
          check: 'unreadable-json',
          rows: [rowName(events, [env, position])],
          message: `The data of event ${id} is not JSON: runs it started cannot be executed.`,
        };
      }
    }
  }
  const head = await store.head(events, [env]);
  if (last !== undefined && head < last) {
    yield {
      check: 'head-behind-log',
      rows: [rowName(events, [env, last])],
      message: `The log is said to end at ${head}, and has an entry at ${last}: the next append would fail or overwrite it.`,
    };
  }
}
