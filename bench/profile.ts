// Profiles of the bench's processes, to be opened in a browser's developer tools or any viewer of flame graphs: CPU (.cpuprofile) and sampled
// allocations (.heapprofile).

import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';

/** Where profiles go; not set where none are taken. Child processes inherit it. */
const VARIABLE = 'IRONFLOW_BENCH_PROFILES';

/** Between two samples, in microseconds and in bytes. */
const SAMPLE_US = 200;
const SAMPLE_BYTES = 32_768;

export function profileTo(directory: string): void {
  mkdirSync(directory, { recursive: true });
  process.env[VARIABLE] = directory;
}

function profilesDirectory(): string | undefined {
  return process.env[VARIABLE];
}

/** What Node is started with so that a child writes the profiles of its whole life when it ends. */
export function profileFlags(name: string): string[] {
  const directory = profilesDirectory();
  if (directory === undefined) return [];
  return [
    ...['--cpu-prof', `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${name}.cpuprofile`],
    ...[`--cpu-prof-interval=${SAMPLE_US}`],
    ...['--heap-prof', `--heap-prof-dir=${directory}`, `--heap-prof-name=${name}.heapprofile`],
  ];
}

/** Profiles this process while `work` goes on, if profiles are taken. */
export async function profiled<T>(name: string, work: () => Promise<T>): Promise<T> {
  const directory = profilesDirectory();
  if (directory === undefined) return work();
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
  await session.post('Profiler.start');
  // What the garbage collector has taken counts too: the question is who allocates.
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLE_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  try {
    return await work();
  } finally {
    const { profile } = await session.post('Profiler.stop');
    writeFileSync(join(directory, `${name}.cpuprofile`), JSON.stringify(profile));
    const heap = await session.post('HeapProfiler.stopSampling');
    writeFileSync(join(directory, `${name}.heapprofile`), JSON.stringify(heap.profile));
    session.disconnect();
  }
}
