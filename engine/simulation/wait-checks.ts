// Waits against time and against the log, by true time.
//   B1. A timer does not fire before its time, less what clocks may be wrong.
//   B2. Once the storm is over and what it broke had time to come back, a timer fires within LATE_MS of its time.
//   B3. A wait that times out has missed nothing: no event that fits it became durable after its run's start and before its time.
//   B4. A wait that an event met was met by one that fits it, and soon after both were there.

import type { EventRow, StepRow, WaitRow } from '../src/store/tables.ts';
import type { Mirror } from './mirror.ts';
import { RECOVERY_MS } from './queue-checks.ts';
import type { Report } from './violation.ts';

/** What another engine should have done is done by anybody after two seconds; a failed try is repeated after one. */
const LATE_MS = 10_000;

export interface LogEntry {
  readonly row: EventRow;
  readonly committedAt: number;
}

export interface WaitChecksOptions {
  readonly mirror: Mirror;
  readonly log: readonly LogEntry[];
  readonly now: () => number;
  /** How far the clocks of engines may be from the true time, in milliseconds. */
  readonly skewMs: () => number;
  /** When faults stopped; undefined while they go on. */
  readonly calmAt: () => number | undefined;
  readonly report: Report;
}

export class WaitChecks {
  readonly #options: WaitChecksOptions;
  readonly #begunAt = new Map<string, number>();

  constructor(options: WaitChecksOptions) {
    this.#options = options;
  }

  begun({ runId, stepId }: WaitRow): void {
    this.#begunAt.set(`${runId} ${stepId}`, this.#options.now());
  }

  /** The time of a wait came: a sleep or a retry is over, an event or a child did not come. */
  fired(wait: WaitRow): void {
    const { now, skewMs, report } = this.#options;
    if (wait.dueAt === null) return;
    const early = wait.dueAt - now() - skewMs();
    if (early > 0) report('a timer never fires early', `${wait.kind} ${wait.stepId}, ${early} ms before its time`);
    this.#lateness(wait.dueAt, `${wait.kind} ${wait.stepId}`);
  }

  /** A wait for any of several events ended; with what it was waiting for, unless it was met as it began. */
  endedAny(wait: WaitRow | undefined, alternatives: readonly WaitRow[], step: StepRow): void {
    const { mirror, report } = this.#options;
    if (wait === undefined) return;
    if (step.status === 'timed_out')
      for (const one of alternatives) this.#checkNothingMissed({ ...one, dueAt: wait.dueAt });
    if (step.status !== 'completed') return;
    const { which, event } = JSON.parse(step.output ?? '{}') as { which?: string; event?: unknown };
    const met = alternatives.find(({ name }) => name === which);
    if (met === undefined) {
      report('a wait is met by an event that fits it', `${step.stepId} as ${which}`);
      return;
    }
    this.#checkMetBy(met, { ...step, output: JSON.stringify(event) as StepRow['output'] });
    const start = mirror.runs.get(step.runId)?.logPosition ?? 0;
    const firsts = alternatives.flatMap((one) => this.#firstFitting(one, start)?.row ?? []);
    const oldest = Math.min(...firsts.map(({ position }) => position));
    if (firsts.find(({ position }) => position === oldest)?.id !== (event as { id?: string }).id)
      report('a wait for any takes the oldest event', step.stepId);
  }

  /** An event wait ended, with a step row that says how; `wait` is undefined when it was met as it began. */
  ended(wait: WaitRow | undefined, step: StepRow): void {
    if (step.status === 'timed_out' && wait !== undefined) this.#checkNothingMissed(wait);
    if (step.status === 'completed') this.#checkMetBy(wait, step);
  }

  #checkNothingMissed(wait: WaitRow): void {
    const { mirror, skewMs, report } = this.#options;
    const start = mirror.runs.get(wait.runId)?.logPosition ?? 0;
    const missed = this.#firstFitting(wait, start);
    if (missed !== undefined && missed.committedAt < (wait.dueAt ?? 0) - 2 * skewMs()) {
      report(
        'a wait never misses a matching event',
        `${wait.stepId} timed out; position ${missed.row.position} fits it`,
      );
    }
  }

  #checkMetBy(wait: WaitRow | undefined, step: StepRow): void {
    const { mirror, log, report } = this.#options;
    const { id } = JSON.parse(step.output ?? '{}') as { id?: string };
    const entry = log.find(({ row }) => row.id === id);
    const start = mirror.runs.get(step.runId)?.logPosition ?? 0;
    if (entry === undefined || entry.row.position <= start || (wait !== undefined && !fits(wait, entry.row))) {
      report('a wait is met by an event that fits it', `${step.stepId} by ${id}`);
      return;
    }
    if (wait === undefined) return;
    const first = this.#firstFitting(wait, start) ?? entry;
    const begunAt = this.#begunAt.get(`${wait.runId} ${wait.stepId}`) ?? 0;
    this.#lateness(Math.max(first.committedAt, begunAt), `${wait.stepId}, met by an event`);
  }

  #firstFitting(wait: WaitRow, after: number): LogEntry | undefined {
    const { log } = this.#options;
    for (let i = after; i < log.length; i++) {
      const entry = log[i]; // position i + 1
      if (entry !== undefined && fits(wait, entry.row)) return entry;
    }
    return undefined;
  }

  #lateness(dueAt: number, what: string): void {
    const { now, calmAt, skewMs, report } = this.#options;
    const calm = calmAt();
    if (calm === undefined) return;
    const late = now() - Math.max(dueAt, calm + RECOVERY_MS) - skewMs();
    if (late > LATE_MS) report('what is due happens soon after its time', `${what}, ${late} ms late`);
  }
}

/** A model of its own of what a match compares: here always a value of `data.key`. */
function fits({ env, eventName, matchPath, matchValue, matchExpression }: WaitRow, event: EventRow): boolean {
  if (event.env !== env || event.name !== eventName) return false;
  if (matchPath === '' && matchExpression === null) return true;
  const { key } = JSON.parse(event.data) as { key?: unknown };
  if (matchPath === '' && matchExpression !== null) {
    const { trigger } = JSON.parse(matchExpression) as { trigger: { data: { key: unknown } } };
    return key === trigger.data.key;
  }
  return matchPath === 'data.key' && key !== undefined && JSON.stringify(key) === matchValue;
}
