// Everything that can be measured, by the name that --only takes.

import type { Options } from './contender.ts';
import type { WorkflowKind } from './workflow-kinds.ts';
import type { Sizes } from './workloads.ts';

export interface Entry {
  /** Its file, from this folder. */
  readonly adapter: string;
  readonly options: Options;
  /** Whether it is this engine: then nothing needs to be installed. */
  readonly ours?: true;
  /** Knows jobs of one step and nothing else. */
  readonly isQueue?: true;
  /** What it does of the bench; all, unless said otherwise. */
  readonly kinds?: readonly WorkflowKind[];
  /** Where it cannot take, within the time, what the others do. */
  readonly sizes?: Partial<Sizes>;
}

const ours = (transport: string, store: string): Entry => ({
  adapter: 'ironflow/adapter.ts',
  options: { transport, store },
  ours: true,
});

const restate = (options: Options): Entry => ({ adapter: 'others/restate.mjs', options });
const withoutFlat: readonly WorkflowKind[] = ['seq', 'fan', 'nap', 'wait', 'first', 'large'];

export const contenders: Readonly<Record<string, Entry>> = {
  'in-process': ours('in-process', 'sqlite'),
  streaming: ours('streaming', 'sqlite'),
  polling: ours('polling', 'sqlite'),
  push: ours('push', 'sqlite'),
  'in-process-postgres': ours('in-process', 'postgres'),
  'streaming-postgres': ours('streaming', 'postgres'),
  'polling-postgres': ours('polling', 'postgres'),
  'push-postgres': ours('push', 'postgres'),
  'commit-sqlite': { adapter: 'floor/commit.ts', options: { store: 'sqlite' }, ours: true, kinds: ['seq'] },
  'commit-postgres': { adapter: 'floor/commit.ts', options: { store: 'postgres' }, ours: true, kinds: ['seq'] },
  none: { adapter: 'floor/none.ts', options: {}, ours: true },
  restate: restate({}),
  'restate-2p': restate({ partitions: '2' }),
  'restate-service-2p': { ...restate({ partitions: '2', variant: 'service' }) },
  dbos: { adapter: 'others/dbos.mjs', options: {} },
  'dbos-split': { adapter: 'others/dbos.mjs', options: { topology: 'split' } },
  'openworkflow-postgres': { adapter: 'others/openworkflow.mjs', options: {}, sizes: { inFlight: 200, flat: 1_000 } },
  'openworkflow-sqlite': {
    adapter: 'others/openworkflow.mjs',
    options: { backend: 'sqlite' },
    sizes: { inFlight: 200, flat: 1_000 },
  },
  cloudflare: { adapter: 'others/cloudflare.mjs', options: {}, kinds: withoutFlat, sizes: { inFlight: 100 } },
  vercel: {
    adapter: 'others/vercel.mjs',
    options: {},
    kinds: withoutFlat,
    sizes: { inFlight: 100, sleepers: 200, idleSleepers: 1_000 },
  },
  'vercel-local': {
    adapter: 'others/vercel.mjs',
    options: { world: 'local' },
    kinds: withoutFlat,
    sizes: { inFlight: 100, sleepers: 200, idleSleepers: 1_000 },
  },
  'graphile-worker': { adapter: 'others/graphile-worker.mjs', options: {}, isQueue: true },
  'pg-boss': { adapter: 'others/pg-boss.mjs', options: {}, isQueue: true },
  bullmq: { adapter: 'others/bullmq.mjs', options: {}, isQueue: true },
};

/** Without --only: every way to run this engine, what a commit costs, and the durable engines that came closest. */
export const usual =
  'in-process,streaming,polling,push,in-process-postgres,streaming-postgres,polling-postgres,push-postgres,' +
  'commit-sqlite,commit-postgres,restate,restate-2p,dbos';
