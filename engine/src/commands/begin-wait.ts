import { encodeJson, FunctionNotFoundError, InvokeError, isIronflowError, jsonNull } from '@ironflow/core';
import {
  type Failure,
  type JobEvent,
  type MemoEntry,
  payloadText,
  type StepKind,
  type WaitRequest,
} from '@ironflow/core/wire';
import type { Transaction } from '../group-commit/index.ts';
import { eventOfRun, matchable, mayHaveStoredEvent } from '../kernel/job-event.ts';
import { matchKeyOf } from '../kernel/match-key.ts';
import { publishOutput } from '../kernel/memo.ts';
import { isEnded, restartOf } from '../kernel/run.ts';
import { anyEvent, resolveWaitMatch, type WaitMatch } from '../kernel/wait-match.ts';
import { events, matchPaths, type RunRow, runs, steps, type WaitRow, waits } from '../store/tables.ts';
import {
  type AlternativeQuestion,
  anyText,
  type EventQuestion,
  eventText,
  firstFittingEvent,
  firstOfAny,
} from './event-waits.ts';
import type { CommandPorts } from './ports.ts';
import { appendMessage, positionOf } from './publish.ts';
import { startRun } from './start-runs.ts';
import { alternativeId, blankWait, recordMetWait, type WaitOutcome } from './waits.ts';

/** How a call of a function that nobody registered fails. */
function notFound(functionId: string): InvokeError {
  const { name, code, message } = new FunctionNotFoundError(functionId);
  return new InvokeError(message, { details: { functionId, cause: { name, code, message } } });
}

export interface BegunWait {
  readonly run: RunRow;
  /** False when it was begun before. */
  readonly isNew: boolean;
  /** How it ended, when it was met at once. */
  readonly met?: MemoEntry;
  /** Set when the wait failed at once and its worker's contract cannot tell the function: the run must fail. */
  readonly fatal?: Failure;
}

/**
 * Begins a wait of a run. One that is met already (a time that is past, an event that came before the question, a call
 * that does not wait) is recorded as met at once.
 */
export async function beginWait(
  tx: Transaction,
  run: RunRow,
  request: WaitRequest,
  options: { readonly failable: boolean },
  ports: CommandPorts,
): Promise<BegunWait> {
  if (tx.attempt > 1) {
    const known = (await tx.get(steps, [run.id, request.stepId])) ?? (await tx.get(waits, [run.id, request.stepId]));
    if (known !== null) return { run, isNew: false };
  } else {
    // Neither may be there, whichever of the two is written below: told again (its answer was lost), the time may have passed.
    tx.expectAbsent(steps, [run.id, request.stepId]);
    tx.expectAbsent(waits, [run.id, request.stepId]);
  }
  return new WaitToBegin(tx, run, request, options.failable, ports).begin();
}

class WaitToBegin {
  readonly #tx: Transaction;
  readonly #run: RunRow;
  readonly #request: WaitRequest;
  readonly #failable: boolean;
  readonly #ports: CommandPorts;

  constructor(tx: Transaction, run: RunRow, request: WaitRequest, failable: boolean, ports: CommandPorts) {
    this.#tx = tx;
    this.#run = run;
    this.#request = request;
    this.#failable = failable;
    this.#ports = ports;
  }

  begin(): BegunWait | Promise<BegunWait> {
    const request = this.#request;
    switch (request.kind) {
      case 'sleep':
        if (request.until <= this.#tx.now) return this.#metAtOnce('sleep', { status: 'completed', output: jsonNull });
        return this.#store({ kind: 'sleep', dueAt: request.until });
      case 'wait_for_event':
        return this.#waitForEvent(request);
      case 'wait_for_any':
        return this.#waitForAny(request);
      case 'invoke':
      case 'invoke_async':
        return this.#invoke(request);
      case 'publish':
        return this.#publish(request);
    }
  }

  /** Stores the message together with the step: one for each step, whatever dies when. */
  #publish({ topic, data, stepId, name }: WaitRequest & { kind: 'publish' }): BegunWait {
    const tx = this.#tx;
    const { env, id: runId } = this.#run;
    const { eventId, append } = appendMessage(tx, { env, topic, data: payloadText(data), runId });
    const wakes = this.#run.wakes + 1;
    const about = { runId, stepId, name, kind: 'publish', createdAt: tx.now, childRunId: null } as const;
    const outcome = { status: 'completed', output: encodeJson({ eventId }, 'output of publish') } as const;
    const stored = recordMetWait(tx, about, wakes, outcome, { column: 'position', append });
    const output = { text: outcome.output };
    tx.afterCommit((positions) => {
      output.text = publishOutput(eventId, positionOf(positions, append));
    });
    const met = { ...stored, output };
    return { run: { ...this.#run, wakes, unseenWakes: this.#run.unseenWakes + 1 }, isNew: true, met };
  }

  async #waitForEvent(request: WaitRequest & { kind: 'wait_for_event' }): Promise<BegunWait> {
    const tx = this.#tx;
    const { env } = this.#run;
    let match: WaitMatch;
    const own = request.match ? await this.#runEvent() : undefined;
    try {
      match = request.match ? resolveWaitMatch(request.match, own) : anyEvent;
    } catch (error) {
      return this.#failed('wait_for_event', error);
    }
    const { path: matchPath, value: matchValue, expression: matchExpression } = match;
    const question = { env, eventName: request.event, matchPath, matchValue, matchExpression };
    // What is not looked through here follows after the commit (loops/event-matcher.ts).
    const found = await firstFittingEvent(tx, question, this.#run.logPosition);
    if ('event' in found) {
      return this.#metAtOnce('wait_for_event', { status: 'completed', output: eventText(found.event) });
    }
    const asked = await this.#ask(request.stepId, question, found.searchedTo);
    return this.#store({ kind: 'event', dueAt: tx.now + request.timeoutMs, ...asked });
  }

  /** Sees to it that events find a wait that is stored now, and it those that come before that. @returns what its row has for it. */
  async #ask(stepId: string, question: EventQuestion, searchedTo: number) {
    const tx = this.#tx;
    const { env, eventName, matchPath, matchValue, matchExpression } = question;
    if ((await tx.get(matchPaths, [env, eventName, matchPath])) === null)
      tx.insert(matchPaths, { env, eventName, path: matchPath });
    const begun = { runId: this.#run.id, stepId, env, eventName, matchPath, searchedTo };
    tx.afterCommit(() => this.#ports.outside.eventWaitBegun(begun));
    const matchKey = matchKeyOf(env, eventName, matchPath, matchValue);
    return { eventName, matchPath, matchValue, matchKey, matchExpression, fromPosition: searchedTo };
  }

  async #waitForAny(request: WaitRequest & { kind: 'wait_for_any' }): Promise<BegunWait> {
    const tx = this.#tx;
    const { env, logPosition } = this.#run;
    const questions: AlternativeQuestion[] = [];
    const own = request.alternatives.some(({ match }) => match) ? await this.#runEvent() : undefined;
    try {
      for (const { key, event: eventName, match } of request.alternatives) {
        const { path, value, expression } = match ? resolveWaitMatch(match, own) : anyEvent;
        const question = { env, eventName, matchPath: path, matchValue: value, matchExpression: expression };
        questions.push({ ...question, name: key, fromPosition: logPosition });
      }
    } catch (error) {
      return this.#failed('wait_for_any', error);
    }
    const found = await firstOfAny(tx, questions);
    if ('event' in found)
      return this.#metAtOnce('wait_for_any', { status: 'completed', output: anyText(found.key, found.event) });
    const begun = this.#store({ kind: 'any', dueAt: tx.now + request.timeoutMs });
    const common = { ...this.#base('alternative'), anyOf: request.stepId };
    for (const [i, question] of questions.entries()) {
      const stepId = alternativeId(request.stepId, i);
      const asked = await this.#ask(stepId, question, found.searchedTo[i] ?? logPosition);
      tx.insert(waits, { ...common, stepId, name: question.name, ...asked });
    }
    return { ...begun, run: { ...begun.run, openWaits: begun.run.openWaits + questions.length } };
  }

  async #invoke(request: WaitRequest & { kind: 'invoke' | 'invoke_async' }): Promise<BegunWait> {
    const tx = this.#tx;
    const { env, id: runId } = this.#run;
    const fn = (await this.#ports.functions.current(tx, env)).get(request.functionId);
    if (fn === undefined)
      return this.#failed(
        request.kind,
        this.#failable ? notFound(request.functionId) : new FunctionNotFoundError(request.functionId),
      );
    const known = await this.#childOfBefore(request);
    if (known !== undefined) return known;
    const input = payloadText(request.input);
    const event: JobEvent = {
      id: tx.newId('evt'),
      name: request.functionId,
      version: 1,
      data: { text: input },
      timestamp: tx.now,
      source: 'invoke',
    };
    const parent = request.kind === 'invoke' ? { runId, stepId: request.stepId } : null;
    const childRunId = await startRun(tx, { env, fn, event, input, parent }, this.#ports);
    if (request.kind === 'invoke_async') {
      const output = encodeJson({ run_id: childRunId }, 'output of invokeAsync');
      return this.#metAtOnce('invoke_async', { status: 'completed', output }, childRunId);
    }
    return this.#store({
      kind: 'child',
      dueAt: tx.now + request.timeoutMs,
      childRunId,
      functionId: request.functionId,
      childStays: request.kind === 'invoke' && request.childStays === true,
    });
  }

  /** The child of a call that was open when the run failed, before somebody restarted it. */
  async #childOfBefore(request: WaitRequest & { kind: 'invoke' | 'invoke_async' }): Promise<BegunWait | undefined> {
    const since = restartOf(this.#run)?.takesUpSince ?? null;
    if (since === null || request.kind !== 'invoke') return undefined;
    const range = { table: runs, index: 'byParent', prefix: [this.#run.id], limit: Number.MAX_SAFE_INTEGER };
    const child = (await this.#tx.scan(range)).findLast(({ parentStepId }) => parentStepId === request.stepId);
    if (child === undefined) return undefined;
    const current = await this.#tx.get(runs, [child.id]); // as it will be when this is committed
    if (current?.status === 'completed' && (current.endedAt ?? 0) > since) {
      return this.#metAtOnce('invoke', { status: 'completed', output: current.output ?? jsonNull }, child.id);
    }
    if (current === null || isEnded(current)) return undefined;
    const dueAt = this.#tx.now + request.timeoutMs;
    return this.#store({ kind: 'child', dueAt, childRunId: child.id, functionId: request.functionId });
  }

  #base<K extends WaitRow['kind']>(kind: K): WaitRow & { readonly kind: K } {
    const { stepId, name, wake, sequence } = this.#request;
    const { id: runId, env } = this.#run;
    const createdAt = this.#tx.now;
    return { ...blankWait, runId, env, stepId, name, kind, wake, sequence, failable: this.#failable, createdAt };
  }

  #store(wait: Partial<WaitRow> & { readonly kind: 'sleep' | 'event' | 'any' | 'child' }): BegunWait {
    this.#tx.insert(waits, { ...this.#base(wait.kind), ...wait });
    const { dueAt } = wait;
    if (dueAt != null) this.#tx.afterCommit(() => this.#ports.outside.waitDueAt(this.#run.id, dueAt));
    return { run: { ...this.#run, openWaits: this.#run.openWaits + 1 }, isNew: true };
  }

  /** For what is wrong with the question. What is wrong with the store at this moment is not the function's affair. */
  #failed(kind: StepKind, error: unknown): BegunWait {
    if (!isIronflowError(error)) throw error;
    const failure: Failure = {
      name: error.name,
      code: error.code,
      message: error.message,
      retryable: false,
      ...(error.details && { details: error.details }),
    };
    if (!this.#failable) return { run: this.#run, isNew: true, fatal: failure };
    return this.#metAtOnce(kind, { status: 'failed', error: failure });
  }

  #metAtOnce(kind: StepKind, outcome: WaitOutcome, childRunId: string | null = null): BegunWait {
    const { stepId, name } = this.#request;
    const wakes = this.#run.wakes + 1;
    const met = recordMetWait(
      this.#tx,
      { runId: this.#run.id, stepId, name, kind, createdAt: this.#tx.now, childRunId },
      wakes,
      outcome,
    );
    return { run: { ...this.#run, wakes, unseenWakes: this.#run.unseenWakes + 1 }, isNew: true, met };
  }

  async #runEvent(): Promise<unknown> {
    const { eventId: id, eventName: name } = this.#run;
    const range = { table: events, index: 'byId', prefix: [id], limit: 1 };
    const [row] = mayHaveStoredEvent(this.#run) ? await this.#tx.scan(range) : [];
    const event = eventOfRun(this.#run, row);
    return event === undefined ? { id, name } : matchable(event);
  }
}
