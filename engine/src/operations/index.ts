// Operations: what people do to runs. Each is a command, recorded with who asked for it and why; a bulk operation is many of them.

import {
  decodeJson,
  type Json,
  type JsonText,
  limits,
  RunNotFoundError,
  RunStateError,
  StepNotFoundError,
} from '@ironflow/core';
import type { Operation } from '../commands/audit.ts';
import { cancelRun } from '../commands/cancel-run.ts';
import { patchStep } from '../commands/patch-step.ts';
import { requestPause } from '../commands/pause-run.ts';
import type { CommandPorts } from '../commands/ports.ts';
import { rerunRun } from '../commands/rerun-run.ts';
import { goOn, type RestartInput } from '../commands/restart-run.ts';
import type { Command } from '../group-commit/index.ts';
import { outputOf } from '../kernel/memo.ts';
import type { StatusFilter } from '../kernel/status-word.ts';
import type { Clock } from '../ports/clock.ts';
import type { RunFilter } from '../queries/run-filter.ts';
import { countRuns, findRun, getRun, type RunView, type RunViewPorts, runIdsBefore } from '../queries/runs.ts';
import { getSteps, type StepView } from '../queries/steps.ts';
import type { Store } from '../store/port.ts';
import { BULK_STATUSES, firstPlace, placeFrom, textOf } from './bulk-place.ts';

export interface OperationsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ports: CommandPorts;
  readonly run: <R>(name: string, key: string, command: Command<R>) => Promise<R>;
}

/** Who asks, and why. Default: this process, and for no reason. */
export type Asked = Partial<Operation>;

export type BulkAction = 'cancel' | 'pause' | 'resume' | 'retry';

export interface BulkInput {
  readonly action: BulkAction;
  readonly filter: RunFilter;
  /** Runs of this call. Default, and at most: 500. */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface BulkAnswer {
  readonly action: BulkAction;
  readonly done: number;
  /** Runs whose status forbids it, or changed meanwhile. */
  readonly refused: number;
  /** The first of them. */
  readonly refusals: readonly { readonly runId: string; readonly code: string; readonly message: string }[];
  /** Set while there is more to do. */
  readonly nextCursor?: string;
  /** In the answer to the first call: runs that the filter fits then. */
  readonly totalCount?: number;
}

/** Refusals that a bulk operation tells of one by one, in each answer. */
const REFUSALS_MAX = 20;

export const operationOf = ({ actor = 'in-process', reason = '' }: Asked): Operation => ({ actor, reason });

export class RunOperations {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ports: CommandPorts;
  readonly #views: RunViewPorts;
  readonly #run: OperationsOptions['run'];

  constructor({ store, clock, ports, run }: OperationsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#ports = ports;
    this.#views = { store, clock, functions: ports.functions };
    this.#run = run;
  }

  /**
   * Cancels a run that has not ended; one that has stays as it is.
   * @param asked - `compensate`: what the run has registered is undone first.
   * @throws {RunNotFoundError}
   */
  cancel(env: string, runId: string, asked: Asked & { readonly compensate?: boolean } = {}): Promise<RunView> {
    return this.#operate(env, runId, 'cancelRun', this.#cancel(runId, operationOf(asked), asked.compensate));
  }

  /** @throws {RunStateError} when the run has ended; {RunNotFoundError} */
  pause(env: string, runId: string, asked: Asked = {}): Promise<RunView> {
    return this.#operate(env, runId, 'pauseRun', this.#pause(runId, operationOf(asked)));
  }

  /**
   * Lets a run that failed go on: from the step that failed it, or from one that is named.
   * @throws {RunStateError} in any other status; {StepNotFoundError}; {RunNotFoundError}
   */
  retry(env: string, runId: string, asked: Asked & Pick<RestartInput, 'fromStep'> = {}): Promise<RunView> {
    return this.#operate(env, runId, 'retryRun', this.#goOn('retry', runId, operationOf(asked), asked.fromStep));
  }

  /** Lets a run go on that is paused, or failed. @throws as `retry` */
  resume(env: string, runId: string, asked: Asked & Pick<RestartInput, 'fromStep'> = {}): Promise<RunView> {
    return this.#operate(env, runId, 'resumeRun', this.#goOn('resume', runId, operationOf(asked), asked.fromStep));
  }

  /**
   * Replaces the output of a recorded step.
   * @returns the step as it is now, and its output before.
   * @throws {RunStateError} while the run is executed, or when nothing would read the output; {StepNotFoundError}
   */
  async patchStep(
    env: string,
    stepId: string,
    output: JsonText,
    asked: Asked = {},
  ): Promise<{ readonly step: StepView; readonly previousOutput: Json }> {
    const runId = stepId.slice(0, Math.max(0, stepId.indexOf(':')));
    await findRun(this.#store, env, runId).catch((error) => {
      throw error instanceof RunNotFoundError ? new StepNotFoundError(stepId) : error;
    });
    const { before } = await this.#run('patchStep', runId, (tx) =>
      patchStep(tx, { runId, stepId, output, ...operationOf(asked) }, this.#ports),
    );
    const step = (await getSteps(this.#store, env, runId)).find(({ id }) => id === stepId);
    if (step === undefined) throw new StepNotFoundError(stepId, { runId });
    const previous = outputOf(before);
    return { step, previousOutput: previous === null ? null : decodeJson(previous) };
  }

  /**
   * Starts another run of the same function for the same event, or with `input` in place of the event's data.
   * @throws {FunctionNotFoundError}; {RunNotFoundError}
   */
  async rerun(
    env: string,
    runId: string,
    asked: Asked & { readonly input?: JsonText | undefined } = {},
  ): Promise<RunView> {
    await findRun(this.#store, env, runId);
    const rerunId = await this.#run('rerunRun', runId, (tx) =>
      rerunRun(tx, { runId, input: asked.input, ...operationOf(asked) }, this.#ports),
    );
    return getRun(this.#views, env, rerunId);
  }

  /**
   * Does the same to all runs that a filter fits, a page of them at a call; `cursor` goes on where the call before stopped. Runs
   * started after the first call are left out. @throws {ValidationError} for a cursor of something else.
   */
  async bulk(env: string, { action, filter, cursor, limit }: BulkInput, asked: Asked = {}): Promise<BulkAnswer> {
    const statuses: readonly StatusFilter[] = filter.status === undefined ? BULK_STATUSES[action] : [filter.status];
    const at = cursor === undefined ? firstPlace(this.#clock.now()) : placeFrom(cursor);
    const pageSize = Math.min(limit ?? limits.runsPerBulkCallMax, limits.runsPerBulkCallMax);
    const status = statuses[at.pass];
    const totalCount = cursor === undefined ? await this.#countOf(env, filter, new Set(statuses)) : undefined;
    const runIds =
      status === undefined ? [] : await runIdsBefore(this.#store, env, { ...filter, status }, at.before, pageSize);
    const outcomes = await Promise.all(runIds.map((runId) => this.#bulkOne(action, runId, operationOf(asked))));
    const refusals = outcomes.filter((outcome) => outcome !== undefined);
    const last = runIds.at(-1);
    const next =
      last !== undefined && runIds.length === pageSize
        ? { ...at, before: last }
        : { ...at, pass: at.pass + 1, before: at.newest };
    return {
      action,
      done: runIds.length - refusals.length,
      refused: refusals.length,
      refusals: refusals.slice(0, REFUSALS_MAX),
      ...(next.pass < statuses.length && { nextCursor: textOf(next) }),
      ...(totalCount !== undefined && { totalCount }),
    };
  }

  async #bulkOne(
    action: BulkAction,
    runId: string,
    operation: Operation,
  ): Promise<{ readonly runId: string; readonly code: string; readonly message: string } | undefined> {
    const command = {
      cancel: () => this.#cancel(runId, operation),
      pause: () => this.#pause(runId, operation),
      resume: () => this.#goOn('resume', runId, operation, undefined),
      retry: () => this.#goOn('retry', runId, operation, undefined),
    }[action]();
    try {
      await this.#run(`${action}Run`, runId, command);
      return undefined;
    } catch (error) {
      if (!(error instanceof RunStateError) && !(error instanceof RunNotFoundError)) throw error;
      return { runId, code: error.code, message: error.message };
    }
  }

  async #countOf(env: string, filter: RunFilter, statuses: ReadonlySet<StatusFilter>): Promise<number> {
    const counts = [...statuses].map((status) => countRuns(this.#store, env, { ...filter, status }));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  #cancel(runId: string, operation: Operation, compensate = false): Command<unknown> {
    return (tx) => cancelRun(tx, { runId, compensate, ...operation }, this.#ports);
  }

  #pause(runId: string, operation: Operation): Command<unknown> {
    return (tx) => requestPause(tx, { runId, ...operation }, this.#ports);
  }

  #goOn(how: RestartInput['how'], runId: string, operation: Operation, fromStep: string | undefined): Command<unknown> {
    return (tx) => goOn(tx, { runId, how, fromStep, ...operation }, this.#ports);
  }

  async #operate(env: string, runId: string, name: string, command: Command<unknown>): Promise<RunView> {
    await findRun(this.#store, env, runId);
    await this.#run(name, runId, command);
    return getRun(this.#views, env, runId);
  }
}
