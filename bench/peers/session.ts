// One contender, opened in a process of its own, and what its workloads come to as seen from here.

import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { type Contender, NotAvailableError } from './contender.ts';
import type { Answer, Ask } from './contender-process.ts';
import type { Entry } from './contenders.ts';
import { countSyncs, cpuByRole, type Observation, observe, type Roles, settledMiB } from './observer.ts';
import { type Figures, type Sizes, workloads } from './workloads.ts';

/** What a workload may take, without what it says itself; opening and closing too. In milliseconds. */
const LIMIT_MS = 180_000;

export interface Measurement extends Observation {
  readonly figures: Figures;
}

export class Session {
  readonly info: Contender['info'];
  readonly #pids: Roles;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, info: Contender['info'], pids: Roles) {
    this.#child = child;
    this.info = info;
    this.#pids = pids;
  }

  /** @throws {NotAvailableError} */
  static async open(entry: Entry): Promise<Session> {
    const child = fork(join(import.meta.dirname, 'contender-process.ts'), {
      execArgv: ['--conditions=ironflow-source'],
      env: { ...process.env, NODE_ENV: 'production' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let written = '';
    child.stderr?.on('data', (chunk) => (written = (written + chunk).slice(-2_000)));
    try {
      const answer = await ask(child, { open: { adapter: entry.adapter, options: entry.options } }, LIMIT_MS);
      if (!('opened' in answer)) throw new Error(`not opened: ${JSON.stringify(answer)}`);
      return new Session(child, answer.opened.info, answer.opened.pids);
    } catch (error) {
      await end(child);
      if (!(error instanceof NotAvailableError)) console.error(written);
      throw error;
    }
  }

  async warmUp(sizes: Sizes, isQueue: boolean): Promise<void> {
    await ask(this.#child, { warmUp: { sizes, isQueue } }, LIMIT_MS);
  }

  async measure(workload: string, sizes: Sizes): Promise<Measurement> {
    const seen = new Map<string, { at: number; cpu: Roles; memory: Roles }>();
    const finish = observe(this.#pids);
    const figures = await this.#run(workload, sizes, async (moment) => {
      const memory = await settledMiB(this.#pids);
      seen.set(moment, { at: performance.now(), cpu: cpuByRole(this.#pids), memory });
    });
    const observed = finish();
    return { ...observed, figures: { ...figures, ...perCpuSecond(figures, observed), ...asleep(seen, sizes) } };
  }

  /** Calls that force data to disk while the workload runs. Its figures are not to be used: counting slows it. */
  async syncsOf(workload: string, sizes: Sizes): Promise<{ syncs: number; figures: Figures }> {
    const finish = await countSyncs(this.#pids);
    const figures = await this.#run(workload, sizes, async () => {});
    return { syncs: await finish(), figures };
  }

  async #run(workload: string, sizes: Sizes, look: (moment: string) => Promise<void>): Promise<Figures> {
    const limitMs = LIMIT_MS + (workloads[workload]?.seconds?.(sizes) ?? 0) * 1_000;
    const answer = await ask(this.#child, { run: { workload, sizes } }, limitMs, look);
    if (!('done' in answer)) throw new Error(`not done: ${JSON.stringify(answer)}`);
    return answer.done;
  }

  async close(): Promise<void> {
    await ask(this.#child, { close: true }, 30_000).catch((error) => console.error(String(error)));
    await end(this.#child);
  }
}

/** How far one second of one core goes, over all roles: what others take of the machine changes it little. */
function perCpuSecond({ stepsPerSecond }: Figures, { cores }: Observation): Figures {
  if (stepsPerSecond === undefined) return {};
  return { stepsPerCpuSecond: stepsPerSecond / Object.values(cores).reduce((sum, one) => sum + one, 0) };
}

/** What sleeping runs cost each role: memory by run, and cores while nothing else happened. */
function asleep(
  seen: ReadonlyMap<string, { readonly at: number; readonly cpu: Roles; readonly memory: Roles }>,
  sizes: Sizes,
): Figures {
  const figures: Record<string, number> = {};
  const [awake, asleep, still] = ['awake', 'asleep', 'still asleep'].map((moment) => seen.get(moment));
  if (asleep === undefined) return figures;
  for (const role of Object.keys(asleep.memory)) {
    figures[`asleepMiB.${role}`] = asleep.memory[role] ?? 0;
    if (awake !== undefined && still !== undefined) {
      figures[`bytesPerSleeper.${role}`] =
        (((still.memory[role] ?? 0) - (awake.memory[role] ?? 0)) * 2 ** 20) / sizes.idleSleepers;
      const seconds = (still.at - asleep.at) / 1_000;
      figures[`idleCorePercent.${role}`] = (((still.cpu[role] ?? 0) - (asleep.cpu[role] ?? 0)) / seconds) * 100;
    }
  }
  return figures;
}

/** Sends and waits for the answer. */
function ask(
  child: ChildProcess,
  message: Ask,
  withinMs: number,
  look: (moment: string) => Promise<void> = async () => {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => {
      clearTimeout(timer);
      child.off('message', heard).off('exit', gone);
      then();
    };
    const gone = () => settle(() => reject(new Error('its process has ended')));
    const heard = (answer: Answer) => {
      if ('look' in answer) void look(answer.look).then(() => child.send({ looked: true } satisfies Ask), reject);
      else if ('failed' in answer) settle(() => reject(new Error(answer.failed)));
      else if ('unavailable' in answer) settle(() => reject(new NotAvailableError(answer.unavailable)));
      else settle(() => resolve(answer));
    };
    const timer = setTimeout(() => settle(() => reject(new Error(`longer than ${withinMs / 1_000} s`))), withinMs);
    child.on('message', heard).once('exit', gone);
    child.send(message);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await ended;
  clearTimeout(timer);
}
