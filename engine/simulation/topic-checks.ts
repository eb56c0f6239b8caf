// Messages of topics, from what is committed.
//   M1. Positions of a topic are dense and in commit order.
//   M2. A publish step and its message are stored together, and the step has the message's id and position.
//   M3. At the end the store holds what was committed; each run has as many messages as publish steps.

import { isDeepStrictEqual } from 'node:util';
import type { Append } from '../src/store/port.ts';
import type { Row, Table } from '../src/store/table.ts';
import { type StepRow, topicMessages } from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import type { Report } from './violation.ts';

type Message = typeof topicMessages extends Table<infer R> ? R : never;

export class TopicChecks {
  readonly #mirror: Mirror;
  #dropped = 0;
  readonly #report: Report;
  readonly #messages: Message[] = [];
  readonly #heads = new Map<string, number>();

  constructor(mirror: Mirror, report: Report) {
    this.#mirror = mirror;
    this.#report = report;
  }

  /** Looks at a write set's messages, and at the publish steps that came with them. */
  committed(appends: readonly Append[], positions: readonly number[], stored: readonly StepRow[]): void {
    const fresh: Message[] = [];
    for (const [i, { log, row }] of appends.entries()) {
      if (log !== (topicMessages as unknown)) continue;
      const message = { ...row, position: positions[i] ?? 0 } as Message;
      const head = this.#heads.get(message.topic) ?? 0;
      if (message.position !== head + 1)
        this.#report('sequences of a topic are dense and in commit order', `${message.topic} ${message.position}`);
      this.#heads.set(message.topic, message.position);
      fresh.push(message);
    }
    const published = stored.filter(({ kind }) => kind === 'publish');
    for (const { stepId, runId, output, position } of published) {
      const { eventId } = JSON.parse(output ?? '{}') as { eventId?: string };
      if (!fresh.some((one) => one.id === eventId && one.position === position && one.runId === runId))
        this.#report('a publish step and its message are stored together', stepId);
    }
    if (published.length !== fresh.length)
      this.#report('a publish step and its message are stored together', `${fresh.length} messages`);
    this.#messages.push(...fresh);
  }

  /** A restart has a publish step run again: its message stays, and another one follows. */
  dropped(): void {
    this.#dropped++;
  }

  compareWith(rows: readonly Row[]): void {
    const byId = new Map(rows.map((row) => [row['id'], row]));
    for (const message of this.#messages) {
      if (!isDeepStrictEqual({ ...byId.get(message.id) }, { ...message }))
        this.#report('the store holds what was committed', `message ${message.id}`);
    }
    if (rows.length !== this.#messages.length)
      this.#report('the store holds what was committed', `${rows.length} messages, ${this.#messages.length} committed`);
    const steps = [...this.#mirror.steps.values()].filter(({ kind }) => kind === 'publish');
    const purged = this.#messages.filter(({ runId }) => !this.#mirror.runs.has(runId ?? '')).length;
    if (steps.length + purged + this.#dropped !== this.#messages.length)
      this.#report('one message for each publish step', `${this.#messages.length} for ${steps.length} steps`);
  }
}
