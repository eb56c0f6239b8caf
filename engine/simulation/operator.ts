// Operator: somebody who steers runs at random while processes crash: pauses and resumes them, retries those that failed, from a step
// too, patches steps with what they hold, runs them again. What a run comes to stays known (program.ts).

import { isIronflowError, type JsonText } from '@ironflow/core';
import type { Engine } from '../src/engine.ts';
import { isEnded } from '../src/kernel/run.ts';
import type { RunRow } from '../src/store/tables.ts';
import type { Client } from './client.ts';
import { type Cluster, env } from './cluster.ts';
import { awaitedEvents, withChildren } from './program.ts';
import type { Random } from './random.ts';

/** Restarts of one run, and reruns in all, at most: each may wait for what is sent only for a while. */
const RESTARTS_MAX = 2;
const RERUNS_MAX = 2;
/** A pause that nobody is known to end is ended after this, in milliseconds: an answer was lost, or the call came late. */
const FORGOTTEN_MS = 20_000;
/** Pauses between looks for such, in milliseconds. */
const LOOK_MS = 7_000;

export class Operator {
  readonly #cluster: Cluster;
  readonly #client: Client;
  readonly #random: Random;
  readonly #restarts = new Map<string, number>();
  readonly #pausedAt = new Map<string, number>();
  #reruns = 0;

  constructor(cluster: Cluster, client: Client, random: Random) {
    this.#cluster = cluster;
    this.#client = client;
    this.#random = random;
  }

  /** Does something about every so often, up to a time. */
  operateEvery(meanMs: number, untilMs: number): void {
    const { clock } = this.#cluster.options;
    const endAt = clock.now() + untilMs;
    const next = () =>
      clock.setTimer(this.#random.int(1, 2 * meanMs), () => {
        if (clock.now() > endAt) return;
        next();
        this.#client.later(0, () => this.#operate());
      });
    next();
    const look = () =>
      clock.setTimer(LOOK_MS, () => {
        look();
        this.#resumeForgotten();
      });
    look();
  }

  async #operate(): Promise<void> {
    const { mirror } = this.#cluster.options.checker;
    const known = [...mirror.runs.values()].filter(({ parentRunId }) => parentRunId === null);
    if (known.length === 0) return;
    const run = this.#random.pick(known);
    if (run.status === 'failed') return this.#restart(run);
    if (isEnded(run)) return this.#random.chance(0.3) ? this.#rerun(run) : undefined;
    return run.pause === null ? this.pause(run.id, this.#random.int(0, 8_000)) : this.#patch(run);
  }

  /** Pauses a run, and resumes it after a while. */
  async pause(runId: string, resumeInMs: number): Promise<void> {
    const status = await this.#ask(`pause ${runId}`, (engine) =>
      engine.operations.pause(env, runId, { reason: this.#reasonFor(runId) }),
    );
    if (status === undefined) return;
    this.#client.later(resumeInMs, () => this.resume(runId));
  }

  async resume(runId: string, fromStep?: string): Promise<void> {
    await this.#ask(`resume ${runId}`, (engine) =>
      engine.operations.resume(env, runId, { fromStep, reason: this.#reasonFor(runId) }),
    );
  }

  async retry(runId: string, fromStep?: string): Promise<void> {
    await this.#ask(`retry ${runId} from ${fromStep ?? 'where it failed'}`, (engine) =>
      engine.operations.retry(env, runId, { fromStep, reason: this.#reasonFor(runId) }),
    );
  }

  async patch(stepId: string, output: unknown): Promise<void> {
    await this.#ask(`patch ${stepId}`, (engine) =>
      engine.operations.patchStep(env, stepId, JSON.stringify(output) as JsonText),
    );
  }

  async rerun(runId: string): Promise<void> {
    await this.#ask(`rerun ${runId}`, (engine) => engine.operations.rerun(env, runId));
  }

  async #restart(run: RunRow): Promise<void> {
    const restarts = (this.#restarts.get(run.id) ?? 0) + 1;
    if (restarts > RESTARTS_MAX) return;
    this.#restarts.set(run.id, restarts);
    if (this.#random.chance(0.3)) await this.#patch(run);
    const recorded = this.#stepsOf(run);
    const fromStep = recorded.length > 0 && this.#random.chance(0.5) ? this.#random.pick(recorded).stepId : undefined;
    await this.retry(run.id, fromStep);
  }

  /** Puts what a step holds in its own place: the run comes to the same, and the row has changed. */
  async #patch(run: RunRow): Promise<void> {
    const recorded = this.#stepsOf(run).filter(({ status, kind }) => status === 'completed' && kind === 'run');
    if (recorded.length === 0) return;
    const { stepId, output } = this.#random.pick(recorded);
    // Somebody puts the secret where it was.
    const secret = this.#client.secret ?? '***';
    const before = JSON.parse(output ?? 'null') as unknown;
    await this.patch(stepId, typeof before === 'string' ? before.replaceAll(' with ***', ` with ${secret}`) : before);
  }

  async #rerun(run: RunRow): Promise<void> {
    const program = this.#cluster.options.programs.find(({ id }) => id === run.functionId);
    if (program === undefined || ++this.#reruns > RERUNS_MAX) return;
    await this.rerun(run.id);
    // Its waits look at what comes from now on.
    const { key } = this.#keyOf(run);
    for (const { event } of awaitedEvents(program)) {
      for (const inMs of [0, 45_000, 120_000]) {
        const name = `${event} ${key} rerun ${this.#reruns} ${inMs}`;
        this.#client.later(inMs, () => this.#client.emit(event, { key }, name));
      }
    }
  }

  /** Has the secret in it where the run's function is given one. */
  #reasonFor(runId: string): string {
    const { programs, checker } = this.#cluster.options;
    const { functionId } = checker.mirror.runs.get(runId) ?? {};
    const program = programs.flatMap(withChildren).find(({ id }) => id === functionId);
    return program?.secret === true ? `once more, with ${this.#client.secret ?? 'no secret yet'}` : 'once more';
  }

  #keyOf(run: RunRow): { readonly key: string } {
    const { log } = this.#cluster.options.checker;
    const found = log.find(({ row }) => row.id === run.eventId);
    return JSON.parse(found?.row.data ?? '{}') as { key: string };
  }

  #stepsOf(run: RunRow) {
    const { mirror } = this.#cluster.options.checker;
    return [...mirror.steps.values()].filter(({ runId }) => runId === run.id);
  }

  #resumeForgotten(): void {
    const { clock, checker } = this.#cluster.options;
    for (const { id, pause } of checker.mirror.runs.values()) {
      if (pause === null) this.#pausedAt.delete(id);
      else if (!this.#pausedAt.has(id)) this.#pausedAt.set(id, clock.now());
      else if (clock.now() - (this.#pausedAt.get(id) ?? 0) > FORGOTTEN_MS) this.#client.later(0, () => this.resume(id));
    }
  }

  /** Asks until there is an answer. A refusal is one. */
  async #ask(what: string, work: (engine: Engine) => Promise<unknown>): Promise<'done' | undefined> {
    return this.#client.untilDone(async (engine) => {
      try {
        await work(engine);
        this.#cluster.trace(`operator: ${what}`);
        return 'done';
      } catch (error) {
        if (!isIronflowError(error) || error.retryable) throw error;
        this.#cluster.trace(`operator: ${what} was refused: ${error.code}`);
        return undefined;
      }
    });
  }
}
