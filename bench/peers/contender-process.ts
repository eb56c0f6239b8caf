// A process of its own for each contender and round: opens it, runs workloads on request, closes it. The process that asks watches.
//
//   new ──open──► open ──run──► running ──done──► open ──close──► ended
//   P1. It ends, and all that it started with it, when the process that asked is gone.

import { profiled } from '../profile.ts';
import { type Contender, NotAvailableError, type Options } from './contender.ts';
import { type Bench, type Figures, type Sizes, warmUp, workloads } from './workloads.ts';

export type Ask =
  | { readonly open: { readonly adapter: string; readonly options: Options } }
  | { readonly warmUp: { readonly sizes: Sizes; readonly isQueue: boolean } }
  | { readonly run: { readonly workload: string; readonly sizes: Sizes } }
  | { readonly looked: true }
  | { readonly close: true };

export type Answer =
  | { readonly opened: { readonly info: Contender['info']; readonly pids: Readonly<Record<string, number>> } }
  | { readonly unavailable: string }
  | { readonly failed: string }
  | { readonly look: string }
  | { readonly done: Figures }
  | { readonly closed: true };

let contender: Contender | undefined;
let looked: (() => void) | undefined;
let serial = 0;
const prefix = `b${process.pid}x${Date.now().toString(36)}`;

const answer = (message: Answer) => process.send?.(message);

process.once('disconnect', () => process.exit(1)); // P1
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
process.setMaxListeners(100);

process.on('message', (ask: Ask) => {
  perform(ask).catch((error) =>
    answer(
      error instanceof NotAvailableError
        ? { unavailable: error.message }
        : { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) },
    ),
  );
});

async function perform(ask: Ask): Promise<void> {
  if ('looked' in ask) return looked?.();
  if ('open' in ask) {
    const { open } = (await import(new URL(`./${ask.open.adapter}`, import.meta.url).href)) as {
      open(options: Options): Promise<Contender>;
    };
    contender = await open(ask.open.options);
    answer({ opened: { info: contender.info, pids: contender.pids() } });
  } else if ('close' in ask) {
    await contender?.close();
    answer({ closed: true });
  } else if ('warmUp' in ask) {
    await warmUp(benchOf(ask.warmUp.sizes), ask.warmUp.isQueue);
    await contender?.maintain?.();
    answer({ done: {} });
  } else {
    const workload = workloads[ask.run.workload];
    if (workload === undefined) throw new Error(`there is no workload ${ask.run.workload}`);
    const bench = benchOf(ask.run.sizes);
    answer({ done: await profiled(`${process.pid}-${ask.run.workload}-client`, () => workload.run(bench)) });
  }
}

function benchOf(sizes: Sizes): Bench {
  if (contender === undefined) throw new Error('nothing has been opened');
  return {
    contender,
    sizes,
    key: () => `${prefix}-${++serial}`,
    look: (moment) =>
      new Promise((resolve) => {
        looked = resolve;
        answer({ look: moment });
      }),
  };
}
