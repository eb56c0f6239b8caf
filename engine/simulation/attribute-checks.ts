// What runs are about, from what is committed.
//   N1. A run that starts has, in the same commit, the attributes that its function declares and its event has, and no others.
//   N2. They never change, whatever becomes of the run, and leave in the commit that removes it.

import { isDeepStrictEqual } from 'node:util';
import type { WriteSet } from '../src/store/port.ts';
import type { Row } from '../src/store/table.ts';
import { type RunAttributeRow, type RunRow, runAttributes, runs } from '../src/store/tables.ts';
import type { Report } from './violation.ts';
import type { LogEntry } from './wait-checks.ts';

export interface AttributeChecksOptions {
  readonly log: readonly LogEntry[];
  readonly report: Report;
  /** Functions that declare attributes. */
  readonly declaring: ReadonlySet<string>;
}

const STARTS = 'a run has the attributes of its event from its start on';
const STAYS = 'the attributes of a run never change, and leave with it';

export class AttributeChecks {
  readonly #options: AttributeChecksOptions;
  readonly #rows = new Map<string, RunAttributeRow>();

  constructor(options: AttributeChecksOptions) {
    this.#options = options;
  }

  /** @param before - What the rows put were before; undefined for new ones. */
  committed({ puts, deletes }: WriteSet, before: readonly (Row | undefined)[]): void {
    const { report } = this.#options;
    for (const { table, key } of deletes) {
      if ((table as unknown) !== runAttributes) continue;
      const [runId] = key;
      this.#rows.delete(key.join(' '));
      if (!deletes.some((other) => (other.table as unknown) === runs && other.key[0] === runId))
        report(STAYS, `${key.join(' ')} left before its run`);
    }
    const found = new Map<string, RunAttributeRow[]>();
    for (const { table, row } of puts) {
      if ((table as unknown) !== runAttributes) continue;
      const attribute = row as RunAttributeRow;
      if (this.#rows.has(nameOf(attribute))) report(STAYS, `${nameOf(attribute)} was written again`);
      this.#rows.set(nameOf(attribute), attribute);
      found.set(attribute.runId, [...(found.get(attribute.runId) ?? []), attribute]);
    }
    for (const [i, { table, row }] of puts.entries()) {
      if (table !== runs || before[i] !== undefined) continue;
      const run = row as RunRow;
      const actual = (found.get(run.id) ?? []).map(plain).toSorted(byName);
      found.delete(run.id);
      const expected = this.#expectedOf(run);
      if (!isDeepStrictEqual(actual, expected))
        report(STARTS, `${run.id}: ${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
    }
    for (const runId of found.keys()) report(STAYS, `${runId} got some later`);
  }

  /** At the end. */
  compareWith(stored: readonly RunAttributeRow[], runIds: ReadonlySet<string>): void {
    const { report } = this.#options;
    if (!isDeepStrictEqual(stored.map(plain).toSorted(byName), [...this.#rows.values()].map(plain).toSorted(byName)))
      report('the store holds what was committed', 'attributes');
    for (const { runId, name } of stored)
      if (!runIds.has(runId)) report('no rows without their run', `attribute ${name} of ${runId}`);
  }

  #expectedOf(run: RunRow): RunAttributeRow[] {
    if (!this.#options.declaring.has(run.functionId)) return [];
    const event = this.#options.log.find(({ row }) => row.id === run.eventId)?.row;
    const { key } = JSON.parse(run.input ?? event?.data ?? '{}') as { readonly key?: string };
    const source = event === undefined ? 'invoke' : event.source; // of one that is not in the log: it was called
    return Object.entries({ key, event: run.eventName, source })
      .flatMap(([name, value]) => (value == null ? [] : [{ runId: run.id, name, env: run.env, value }]))
      .toSorted(byName);
  }
}

const nameOf = ({ runId, name }: RunAttributeRow) => `${runId} ${name}`;
const byName = (a: RunAttributeRow, b: RunAttributeRow) => (nameOf(a) < nameOf(b) ? -1 : 1);
const plain = ({ runId, name, env, value }: RunAttributeRow): RunAttributeRow => ({ runId, name, env, value });
